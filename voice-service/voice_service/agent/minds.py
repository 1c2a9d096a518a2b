"""Parts that answer in words, and the chain that asks them in order, with fillers between."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from assistant.reply import Assistant, ReplyFailed
from assistant.turns import Citation, Piece, Text, ToolUse, Turn, Usage
from telemetry import catalogue
from voice_service.agent import wording
from voice_service.agent.parts import Mind, PartFailed, Question, Spent, Word
from voice_service.agent.rhythm import TAKES_LONG, TOO_QUIET, Fillers, Rhythm

RESTS = 15.0
"""Seconds for which a part that failed is asked last."""
LOOKS = 0.05
STALLS_AFTER = 3.0
"""Seconds between two words of an answer after which it has stopped; a tool may take its time."""
BROKEN_OFF = "Sorry, I was cut off. "
NO_ANSWER = "I am sorry, I cannot answer that just now. Please ask me again, or ask a pharmacist."

_log = structlog.stdlib.get_logger(__name__)


class AssistantMind:
    """The assistant that also answers in writing: its models in order, then the library."""

    name = "assistant"

    def __init__(
        self,
        assistant: Callable[[], Assistant],
        *,
        within: float,
        earlier: Callable[[Sequence[Turn]], str],
    ) -> None:
        """`earlier` sums up what was said before the turns that it is given."""
        self._assistant, self.within, self._earlier = assistant, within, earlier

    async def answer(self, question: Question) -> AsyncGenerator[Word | ToolUse]:
        """The reply with markers taken out, and its sources named at the end."""
        plain, given, said = wording.Plain(), list[Citation](), ""
        modelled = False
        try:
            async for piece in self._assistant().reply(
                question.text,
                question.history,
                level=question.level,
                earlier=self._earlier(question.history),
            ):
                modelled = modelled or isinstance(piece, Usage)
                for word in _words(piece, plain, given):
                    said += word if isinstance(word, str) else ""
                    yield word
        except ReplyFailed:
            raise PartFailed(self.name, "broke off") from None
        if rest := plain.end():
            yield rest
        if modelled and (source := wording.attribution(said + rest, given)):
            yield source

    def note(self, turn: Turn, *, seconds: float | None = None) -> None:
        """It is given the whole history with every question."""

    async def aclose(self) -> None:
        """It holds nothing open."""


class LibraryMind:
    """Library mode alone: it needs no network and cannot fail half-way."""

    name = "library"
    within = 10.0

    def __init__(self, assistant: Callable[[], Assistant]) -> None:
        self._assistant = assistant

    async def answer(self, question: Question) -> AsyncGenerator[Word | ToolUse]:
        """The short answer for the ear."""
        plain, given = wording.Plain(), list[Citation]()
        for piece in await asyncio.to_thread(self._compose, question):
            for word in _words(piece, plain, given):
                yield word
        if rest := plain.end():
            yield rest

    def note(self, turn: Turn, *, seconds: float | None = None) -> None:
        """It is given the whole history with every question."""

    async def aclose(self) -> None:
        """It holds nothing open."""

    def _compose(self, question: Question) -> list[Piece]:
        return list(
            self._assistant().from_library(question.text, question.history, level=question.level)
        )


def _words(piece: Piece, plain: wording.Plain, given: list[Citation]) -> list[Word | ToolUse]:
    match piece:
        case Text(text):
            return [said] if (said := plain.feed(text)) else []
        case Citation():
            given.append(piece)
            return [piece]
        case Usage():
            return [Spent(_usage(piece))]
        case ToolUse():
            return [piece]


def _usage(piece: Usage) -> dict[str, object]:
    return {
        "provider": piece.provider,
        "model": piece.model,
        "input_tokens": piece.prompt_tokens,
        "output_tokens": piece.completion_tokens,
        "first_token_ms": piece.first_token_ms,
    }


@dataclass(slots=True)
class Answers:
    """The minds in order; one that failed rests behind the others.

    `fillers` are said while a mind thinks and it has been quiet for too long.
    """

    minds: Sequence[Mind]
    fillers: Fillers
    rhythm: Rhythm
    _rests_until: dict[str, float] = field(default_factory=dict)

    async def reply(self, question: Question) -> AsyncIterator[Word]:
        """Yields a reply that always has words, whoever fails."""
        begun = False
        self.fillers.restart()
        for mind in self._in_order():
            try:
                if begun:
                    yield BROKEN_OFF
                async for word, own in self._ask(mind, question):
                    begun = begun or (own and isinstance(word, str) and bool(word.strip()))
                    yield word
                if begun:
                    self._rests_until.pop(mind.name, None)
                    return
                raise PartFailed(mind.name, "no words")
            except Exception as error:  # however it fails, the next one must answer
                failed = PartFailed.of(error, mind.name)
                catalogue.FALLBACKS.add(failed.part, failed.reason)
                _log.warning("mind.failed", part=failed.part, reason=failed.reason)
                self._rests_until[mind.name] = time.monotonic() + RESTS
        yield NO_ANSWER

    def note(self, turn: Turn, *, seconds: float | None = None) -> None:
        """Something was said; `seconds` is how much was heard of an agent's turn that was cut."""
        for mind in self.minds:
            mind.note(turn, seconds=seconds)

    async def aclose(self) -> None:
        """Closes every mind."""
        for mind in self.minds:
            await mind.aclose()

    async def _ask(self, mind: Mind, question: Question) -> AsyncIterator[tuple[Word, bool]]:
        """The mind's words, each with whether they are its own and no filler."""
        words = mind.answer(question)
        started, first = time.monotonic(), True
        latest, due = started, started + mind.within
        coming: asyncio.Task[Word | ToolUse] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(words))
                done, _ = await asyncio.wait((coming,), timeout=LOOKS)
                if done:
                    word, coming = coming.result(), None
                    latest = time.monotonic()
                    if isinstance(word, ToolUse):
                        due = latest + mind.within
                        continue
                    first = first and not (isinstance(word, str) and word.strip())
                    yield word, True
                elif reason := self._overdue(latest, due if first else None):
                    raise PartFailed(mind.name, reason)
                elif self._is_due(time.monotonic() - started if first else 0.0):
                    yield self.fillers.take(), False
        except StopAsyncIteration:
            return
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            await words.aclose()

    def _overdue(self, latest: float, due: float | None) -> str | None:
        """Why a mind is waited for no longer: its first word was `due`, or it has stopped in the
        middle of its answer, and all that it gave was heard."""
        now = time.monotonic()
        if due is not None:
            return "too slow" if now >= due else None
        stalled = now - latest >= STALLS_AFTER and self.rhythm.silent_for() >= TOO_QUIET
        return "stalled" if stalled else None

    def _is_due(self, took: float) -> bool:
        """Whether something should be said: late, and nothing is being said already."""
        silent = self.rhythm.silent_for()
        return silent >= TOO_QUIET or (took >= TAKES_LONG and silent >= TAKES_LONG)

    def _in_order(self) -> list[Mind]:
        now = time.monotonic()
        return sorted(self.minds, key=lambda mind: self._rests_until.get(mind.name, 0.0) > now)
