"""The connection to a speech-to-speech model: opened, kept up to date, lost and opened again."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from livekit.agents import llm

from assistant import reply, tools
from assistant.turns import Citation, Turn
from voice_service.agent.parts import PartFailed

REOPENS_AFTER = 5.0
"""Seconds after a failure before the provider is tried again."""

MakeTools = Callable[[list[Citation]], dict[str, tools.Tool]]
"""The tools of one reply; what they find is added to the list, and its places are markers."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Own:
    """The model's last reply, as it made it."""

    item_id: str
    text: str = ""
    seconds: float = 0.0


class Line:
    """The connection to the model. It is opened again, with what was said, when it was lost."""

    def __init__(
        self,
        name: str,
        make: Callable[[], llm.RealtimeModel],
        *,
        instructions: str,
        make_tools: MakeTools,
        history: Callable[[], Sequence[Turn]],
        earlier: str = "",
    ) -> None:
        self.name = name
        self._make, self._history, self.make_tools = make, history, make_tools
        self._earlier = earlier
        self._instructions = instructions
        self._model: llm.RealtimeModel | None = None
        self.session: llm.RealtimeSession[Any] | None = None
        self.ready = asyncio.Event()
        self.broken = False
        self._failed_at: float | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._commits: deque[asyncio.Future[str]] = deque()
        self._by_item: dict[str, asyncio.Future[str]] = {}
        self._notes: list[Turn] = []
        self.heard_by_audio: list[str] = []
        self.own: Own | None = None
        self.usage: list[dict[str, object]] = []

    def open(self) -> None:
        """Begins to connect, unless it is connected or failed just now."""
        recently = self._failed_at is not None and time.monotonic() - self._failed_at < (
            REOPENS_AFTER
        )
        if self.session is not None or recently:
            return
        self._model = self._make()
        session: llm.RealtimeSession[Any] = self._model.session()
        session.on("error", self._on_error)
        session.on("openai_server_event_received", self._on_event)
        session.on("metrics_collected", self._on_metrics)
        self.session = session
        self._notes, self.heard_by_audio, self.own = [], [], None
        self._start(self._prepare(session))

    async def instruct(self, instructions: str) -> None:
        """New instructions, from the next response on."""
        self._instructions = instructions
        if self.session is not None:
            await self.session.update_instructions(instructions)

    def drop(self, reason: str) -> None:
        """Gives the connection up; the next `open` makes a new one."""
        session, model = self.session, self._model
        if session is None or model is None:
            return
        _log.warning("realtime.dropped", part=self.name, reason=reason)
        self.session, self._model, self.broken = None, None, True
        self._failed_at = time.monotonic()
        self.ready.clear()
        for waiting in (*self._commits, *self._by_item.values()):
            if not waiting.done():
                waiting.set_exception(PartFailed(self.name, reason))
                waiting.exception()
        self._commits.clear()
        self._by_item.clear()
        self._start(_close(session, model))

    def commit(self) -> "asyncio.Future[str]":
        """Ends the stretch of speech that was pushed; the future is its transcript."""
        assert self.session is not None
        words: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._commits.append(words)
        self.session.commit_audio()
        return words

    def told(self, turn: Turn, seconds: float | None) -> None:
        """Something was said or written; its own reply is cut where it was cut off."""
        own = self.own
        if turn.role == "user" or own is None or not _same(turn.content, own.text):
            self._notes.append(turn)
            return
        self.own = None
        if seconds is not None and seconds < own.seconds and self.session is not None:
            self.session.truncate(
                message_id=own.item_id,
                modalities=["audio", "text"],
                audio_end_ms=max(1, round(seconds * 1000)),
            )

    def asked(self, question: str) -> None:
        """The caller's turn; it is written down where the model did not hear it itself."""
        if question != " ".join(self.heard_by_audio):
            self._notes.append(Turn("user", question))
        self.heard_by_audio.clear()

    async def catch_up(self) -> None:
        """Sends the notes.

        Raises:
            PartFailed: the provider does not take them.
        """
        session, notes = self.session, self._notes
        if session is None:
            raise PartFailed(self.name, "not connected")
        if not notes:
            return
        self._notes = []
        context = session.chat_ctx.copy()
        for turn in notes:
            context.add_message(role=turn.role, content=turn.content)
        try:
            async with asyncio.timeout(1.0):
                await session.update_chat_ctx(context)
        except (TimeoutError, llm.RealtimeError):
            self.drop("takes no history")
            raise PartFailed(self.name, "takes no history") from None

    async def aclose(self) -> None:
        """Hangs up."""
        session, model, self.session = self.session, self._model, None
        if session is not None and model is not None:
            self._start(_close(session, model))
        if self._closing:
            await asyncio.wait(self._closing, timeout=3)

    async def _prepare(self, session: llm.RealtimeSession[Any]) -> None:
        context = llm.ChatContext.empty()
        if self._earlier:
            context.add_message(role="user", content=reply.summed_up(self._earlier))
        for turn in self._history():
            context.add_message(role=turn.role, content=turn.content)
        declared = [_declared(tool) for tool in self.make_tools([]).values()]
        try:
            await session.update_instructions(self._instructions)
            await session.update_tools(declared)
            await session.update_chat_ctx(context)
        except llm.RealtimeError as refused:
            if self.session is session:
                self.drop(type(refused).__name__)

    def _on_error(self, event: llm.RealtimeModelError) -> None:
        if not event.recoverable:
            reason = getattr(event.error, "status_code", None) or type(event.error).__name__
            self.drop(str(reason))

    def _on_event(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "session.updated":
            self.broken = False
            self.ready.set()
        elif kind == "input_audio_buffer.committed" and self._commits:
            self._by_item[event["item_id"]] = self._commits.popleft()
        elif kind == "conversation.item.input_audio_transcription.completed":
            self._settle(event["item_id"], event["transcript"])
        elif kind == "conversation.item.input_audio_transcription.failed":
            self._settle(event["item_id"], None)
        elif kind == "response.done":
            self.broken = _broke_off(event["response"])

    def _settle(self, item_id: str, words: str | None) -> None:
        waiting = self._by_item.pop(item_id, None)
        if waiting is None or waiting.done():
            return
        if words is None:
            waiting.set_exception(PartFailed(self.name, "not transcribed"))
        else:
            waiting.set_result(words.strip())

    def _on_metrics(self, metrics: Any) -> None:
        if spent := getattr(metrics, "total_tokens", 0):
            self.usage.append(
                {
                    "provider": self.name,
                    "model": metrics.metadata.model_name if metrics.metadata else "",
                    "input_tokens": metrics.input_tokens,
                    "output_tokens": metrics.output_tokens,
                    "input_audio_tokens": metrics.input_token_details.audio_tokens,
                    "output_audio_tokens": metrics.output_token_details.audio_tokens,
                    "total_tokens": spent,
                }
            )

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(session: llm.RealtimeSession[Any], model: llm.RealtimeModel) -> None:
    try:
        async with asyncio.timeout(3):
            await session.aclose()
    except Exception as error:  # it failed before, or fails now: either way it is gone
        _log.info("realtime.closed", reason=type(error).__name__)
    await model.aclose()


def _broke_off(response: dict[str, Any]) -> bool:
    """Whether it ended otherwise than it should; one as long as was allowed did not."""
    details = response.get("status_details") or {}
    full = details.get("reason") == "max_output_tokens"
    return response.get("status") == "failed" or (
        response.get("status") == "incomplete" and not full
    )


def _declared(tool: tools.Tool) -> llm.Tool:
    async def run(raw_arguments: dict[str, object]) -> str:
        raise tools.ToolFailed("Tools are run by the session.")

    return llm.function_tool(run, raw_schema=tool.schema()["function"])


def _same(heard: str, made: str) -> bool:
    """Whether what was heard is, or begins like, what was made."""
    first = heard.split()[:4]
    return bool(first) and " ".join(first) in " ".join(made.split())
