"""A speech-to-speech model as two parts of a pipeline: it hears, and it answers with its own sound.

Its provider decides nothing: the local detector ends a stretch of speech, which is committed; its
transcript passes the gate; only then is a response asked for.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from livekit import rtc
from livekit.agents import llm

from assistant import prompts, tools
from assistant.turns import Citation, Turn
from voice_service.agent.parts import Heard, PartFailed, Question, Sound, Spent, Voiced, Word

ROUNDS = 3
"""How often it may ask for tools within one reply."""
STALLS_AFTER = 1.0
"""Seconds that the next sound may take beyond what was already given."""
REOPENS_AFTER = 5.0
"""Seconds after a failure before the provider is tried again."""

MakeTools = Callable[[list[Citation]], dict[str, tools.Tool]]
"""The tools of one reply; what they find is added to the list, and its places are markers."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class _Own:
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
    ) -> None:
        self.name = name
        self._make, self._history, self.make_tools = make, history, make_tools
        self._instructions = instructions
        self._model: llm.RealtimeModel | None = None
        self.session: llm.RealtimeSession[Any] | None = None
        self.ready = asyncio.Event()
        self.broken = False
        self._failed_at: float | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._commits: deque[asyncio.Future[str]] = deque()
        self._by_item: dict[str, asyncio.Future[str]] = {}
        self._partial: dict[str, str] = {}
        self._notes: list[Turn] = []
        self.heard_by_audio: list[str] = []
        self.own: _Own | None = None
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
        self._partial.clear()
        self.session.commit_audio()
        return words

    def partial(self) -> str:
        """The transcript that is coming in."""
        return " ".join(self._partial.values())

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
        elif kind == "conversation.item.input_audio_transcription.delta":
            item = event["item_id"]
            self._partial[item] = self._partial.get(item, "") + event.get("delta", "")
        elif kind == "conversation.item.input_audio_transcription.completed":
            self._settle(event["item_id"], event["transcript"])
        elif kind == "conversation.item.input_audio_transcription.failed":
            self._settle(event["item_id"], None)
        elif kind == "response.done":
            self.broken = event["response"].get("status") in {"failed", "incomplete"}

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


class RealtimeEar:
    """Hears by the model's own transcription of what it is sent."""

    def __init__(self, line: Line, *, within: float) -> None:
        self.name, self.within = f"{line.name}-ear", within
        self._line = line
        self._given: object | None = None

    def begin(self, frames: Sequence[rtc.AudioFrame]) -> None:
        """Sends the speech as it comes, if there is a connection."""
        self._given = None
        if self._line.session is not None and self._line.ready.is_set():
            self._line.session.clear_audio()
            self._given = self._line.session
            self.push(frames)

    def push(self, frames: Sequence[rtc.AudioFrame]) -> None:
        """Sends more of it."""
        session = self._line.session
        if session is not None and self._given is session:
            for frame in frames:
                session.push_audio(frame)

    def partial(self) -> str:
        """Mostly nothing: transcription begins at the end of a stretch."""
        return ""

    async def hear(self, frames: Sequence[rtc.AudioFrame]) -> Heard:
        """Commits the speech and waits for its transcript."""
        line = self._line
        line.open()
        session = line.session
        if session is None:
            raise PartFailed(self.name, "not connected")
        try:
            async with asyncio.timeout(self.within):
                await line.ready.wait()
                if self._given is not session:
                    session.clear_audio()
                    for frame in frames:
                        session.push_audio(frame)
                self._given = None
                words = await line.commit()
        except TimeoutError:
            line.drop("too slow")
            raise PartFailed(self.name, "too slow") from None
        if words:
            line.heard_by_audio.append(words)
        return Heard(words)

    async def aclose(self) -> None:
        """The line is closed by the mind."""


class RealtimeMind:
    """Answers with the model's voice."""

    def __init__(self, line: Line, *, within: float) -> None:
        self.name, self.within = f"{line.name}-mind", within
        self._line = line

    async def answer(self, question: Question) -> AsyncGenerator[Word]:
        """Asks for a response, runs the tools that it asks for, and asks again."""
        line = self._line
        if line.session is None or not line.ready.is_set():
            line.open()
            raise PartFailed(self.name, "not connected")
        line.usage.clear()
        line.asked(question.text)
        await line.catch_up()
        given: list[Citation] = []
        known = line.make_tools(given)
        for left in reversed(range(ROUNDS)):
            calls: list[llm.FunctionCall] = []
            async for word in self._respond(question, calls, last=not left):
                yield word
            if not calls:
                break
            told = len(given)
            await self._use(calls, known)
            for found in given[told:]:
                yield found
        for usage in line.usage:
            yield Spent(usage)

    def note(self, turn: Turn, *, seconds: float | None = None) -> None:
        """Tells the model; what the caller said aloud comes by `answer`."""
        self._line.told(turn, seconds)

    async def aclose(self) -> None:
        """Hangs up."""
        await self._line.aclose()

    async def _respond(
        self, question: Question, calls: list[llm.FunctionCall], *, last: bool
    ) -> AsyncGenerator[Word]:
        line, session = self._line, self._line.session
        if session is None:
            raise PartFailed(self.name, "lost")
        line.broken = done = False
        try:
            async with asyncio.timeout(self.within):
                made = await session.generate_reply(**_wishes(question.level, last=last))
            async for message in made.message_stream:
                async for word in self._speak(message):
                    yield word
            calls.extend([call async for call in made.function_stream])
            done = True
        except (TimeoutError, llm.RealtimeError):
            line.drop("too slow")
            raise PartFailed(self.name, "too slow") from None
        finally:
            if not done and line.session is session:
                session.interrupt()
        if line.broken or line.session is not session:
            raise PartFailed(self.name, "broke off")

    async def _speak(self, message: llm.MessageGeneration) -> AsyncGenerator[Word]:
        """The words of one message, tied to its sound; none before the first sound is there."""
        sound, own = Sound(), _Own(message.message_id)
        self._line.own = own
        coming: asyncio.Queue[str | rtc.AudioFrame | None] = asyncio.Queue()
        reading = [
            asyncio.create_task(_pour(message.text_stream, coming)),
            asyncio.create_task(_pour(message.audio_stream, coming)),
        ]
        held: list[str] = []
        first: float | None = None
        began, ended = time.monotonic(), 0
        try:
            while ended < len(reading):
                due = began + self.within if first is None else first + own.seconds + STALLS_AFTER
                async with asyncio.timeout(max(0.05, due - time.monotonic())):
                    item = await coming.get()
                if item is None:
                    ended += 1
                elif isinstance(item, str):
                    own.text += item
                    sound.words.append(item)
                    held.append(item)
                else:
                    first = first or time.monotonic()
                    own.seconds += item.duration
                    sound.frames.put_nowait(item)
                while held and first is not None:
                    yield Voiced(held.pop(0), sound)
        finally:
            sound.frames.put_nowait(None)
            for task in reading:
                task.cancel()

    async def _use(self, calls: Sequence[llm.FunctionCall], known: dict[str, tools.Tool]) -> None:
        """Runs what the model asked for and lays the results before it."""
        session = self._line.session
        if session is None:
            raise PartFailed(self.name, "lost")
        results = []
        for call in calls:
            failed = False
            try:
                output = await tools.call(known, call.name, _arguments(call.arguments))
            except tools.ToolFailed as refused:
                output, failed = str(refused), True
            results.append(
                llm.FunctionCallOutput(
                    call_id=call.call_id, name=call.name, output=output, is_error=failed
                )
            )
        context = session.chat_ctx.copy()
        context.items.extend(results)
        try:
            async with asyncio.timeout(1.5):
                await session.update_chat_ctx(context)
        except (TimeoutError, llm.RealtimeError):
            self._line.drop("takes no results")
            raise PartFailed(self.name, "takes no results") from None


def _wishes(level: str, *, last: bool) -> dict[str, Any]:
    """What is asked of one response beside the session's instructions."""
    asked: dict[str, Any] = {}
    if level in {"emergency", "crisis", "urgent"}:
        asked["instructions"] = prompts.read(f"after_{level}")
    if last:
        asked["tool_choice"] = "none"
    return asked


async def _pour(source: Any, into: "asyncio.Queue[Any]") -> None:
    async for item in source:
        into.put_nowait(item)
    into.put_nowait(None)


async def _close(session: llm.RealtimeSession[Any], model: llm.RealtimeModel) -> None:
    try:
        async with asyncio.timeout(3):
            await session.aclose()
    except Exception as error:  # it failed before, or fails now: either way it is gone
        _log.info("realtime.closed", reason=type(error).__name__)
    await model.aclose()


def _declared(tool: tools.Tool) -> llm.Tool:
    async def run(raw_arguments: dict[str, object]) -> str:
        raise tools.ToolFailed("Tools are run by the session.")

    return llm.function_tool(run, raw_schema=tool.schema()["function"])


def _arguments(raw: str) -> dict[str, Any] | None:
    try:
        arguments = json.loads(raw or "{}")
    except json.JSONDecodeError:
        return None
    return arguments if isinstance(arguments, dict) else None


def _same(heard: str, made: str) -> bool:
    """Whether what was heard is, or begins like, what was made."""
    first = heard.split()[:4]
    return bool(first) and " ".join(first) in " ".join(made.split())
