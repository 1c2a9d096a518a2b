"""A speech-to-speech model as two parts of a pipeline: it hears, and it answers with its own sound.

Its provider decides nothing: the local detector ends a stretch of speech, which is committed; its
transcript passes the gate; only then is a response asked for.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from livekit import rtc
from livekit.agents import llm

from assistant import prompts, tools
from assistant.turns import Citation, ToolUse, Turn
from voice_service.agent.line import Line, Own
from voice_service.agent.parts import (
    Heard,
    PartFailed,
    Question,
    Sound,
    Spent,
    Voiced,
    Word,
    asking,
)

ROUNDS = 3
"""How often it may ask for tools within one reply."""
STALLS_AFTER = 1.0
"""Seconds that the next sound may take beyond what was already given."""


class RealtimeEar:
    """Hears by the model's own transcription of what it is sent."""

    def __init__(self, line: Line, *, within: float) -> None:
        self.name, self.within = f"{line.name}-ear", within
        self._line = line
        self._given: tuple[object, float] | None = None

    def begin(self, frames: Sequence[rtc.AudioFrame], began: float) -> None:
        """Sends the speech as it comes, if there is a connection. What was sent before and is not
        committed goes: it is sent again when it is heard."""
        self._given = None
        self._line.open()
        if self._line.session is not None and self._line.ready.is_set():
            self._line.session.clear_audio()
            self._given = self._line.session, began
            self.push(frames)

    def push(self, frames: Sequence[rtc.AudioFrame]) -> None:
        """Sends more of it."""
        session = self._line.session
        if session is not None and self._given is not None and self._given[0] is session:
            for frame in frames:
                session.push_audio(frame)

    def partial(self) -> str:
        """Nothing: transcription begins at the end of a stretch."""
        return ""

    async def hear(self, frames: Sequence[rtc.AudioFrame], began: float) -> Heard:
        """Commits the speech and waits for its transcript."""
        line = self._line
        line.open()
        session = line.session
        if session is None:
            raise PartFailed(self.name, "not connected")
        try:
            async with asyncio.timeout(self.within):
                await line.ready.wait()
                if self._given != (session, began):
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

    def forget(self, began: float) -> None:
        """Nothing: what was not committed is cleared before the next."""

    async def aclose(self) -> None:
        """The line is closed by the mind."""


class RealtimeMind:
    """Answers with the model's voice."""

    def __init__(self, line: Line, *, within: float) -> None:
        self.name, self.within = f"{line.name}-mind", within
        self._line = line

    async def answer(self, question: Question) -> AsyncGenerator[Word | ToolUse]:
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
            span = asking("chat", line.name)
            try:
                async for word in self._respond(question, calls, last=not left):
                    yield word
            except PartFailed as failed:
                span.end(failed.reason)
                raise
            finally:
                span.end()
            if not calls:
                break
            async for found in self._use(calls, known, given):
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
        sound, own = Sound(), Own(message.message_id)
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

    async def _use(
        self,
        calls: Sequence[llm.FunctionCall],
        known: dict[str, tools.Tool],
        given: Sequence[Citation],
    ) -> AsyncGenerator[Citation | ToolUse]:
        """Runs what the model asked for and lays the results before it; yields what was added to
        `given`."""
        session, told = self._line.session, len(given)
        if session is None:
            raise PartFailed(self.name, "lost")
        results = []
        for call in calls:
            yield ToolUse(call.name, "started")
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
            yield ToolUse(call.name, "failed" if failed else "finished")
        context = session.chat_ctx.copy()
        context.items.extend(results)
        try:
            async with asyncio.timeout(1.5):
                await session.update_chat_ctx(context)
        except (TimeoutError, llm.RealtimeError):
            self._line.drop("takes no results")
            raise PartFailed(self.name, "takes no results") from None
        for found in given[told:]:
            yield found


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


def _arguments(raw: str) -> dict[str, Any] | None:
    try:
        arguments = json.loads(raw or "{}")
    except json.JSONDecodeError:
        return None
    return arguments if isinstance(arguments, dict) else None
