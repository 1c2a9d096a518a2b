"""The parts of a pipeline: what hears, what answers, what speaks. Later providers are more of them.

Each part is made for one session and closed with it; HTTP pools alone are shared.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from livekit import rtc

from assistant.turns import Citation, ToolUse, Turn
from telemetry import Aside, Kind


class PartFailed(Exception):
    """A part refused, broke off or was too slow; `reason` is safe to log."""

    def __init__(self, part: str, reason: str) -> None:
        self.part = part
        self.reason = reason
        super().__init__(f"{part}: {reason}")

    @classmethod
    def of(cls, error: Exception, part: str) -> "PartFailed":
        """Any failure of a part as one of these."""
        return error if isinstance(error, cls) else cls(part, type(error).__name__)


def asking(operation: str, part: str) -> Aside:
    """The span of a part that is asked: `transcription`, `speech`, or `chat` for one that hears
    and speaks itself."""
    told = {"gen_ai.operation.name": operation, "gen_ai.provider.name": part}
    return Aside(f"{operation} {part}", Kind.CLIENT, told)


@dataclass(frozen=True, slots=True)
class Heard:
    """The words of one stretch of speech; `confidence` from 0 to 1, None where unknown.

    `read_back` are words that the caller must hear back: dates, numbers, drugs. `alarming` are
    phrases that may have been said although the text has them not.
    """

    text: str
    confidence: float | None = None
    read_back: tuple[str, ...] = ()
    alarming: tuple[str, ...] = ()


class Ear(Protocol):
    """Turns one stretch of speech into words.

    `begin` and `push` give the sound while it is spoken, so that a streaming part may work along;
    `hear` gets all of it again at the end, and is also called on a part that got nothing before.
    The next stretch may begin before this one is heard: `began`, in seconds since 1970, tells
    them apart.
    """

    name: str
    within: float
    """Seconds from the end of the speech after which the next part is asked."""

    def begin(self, frames: Sequence[rtc.AudioFrame], began: float) -> None: ...

    def push(self, frames: Sequence[rtc.AudioFrame]) -> None:
        """More of the stretch that began last."""

    def partial(self) -> str:
        """The words so far of the stretch that began last, as far as they are known."""

    async def hear(self, frames: Sequence[rtc.AudioFrame], began: float) -> Heard:
        """Raises PartFailed."""

    def forget(self, began: float) -> None:
        """Another part hears this stretch."""

    async def aclose(self) -> None: ...


class Voice(Protocol):
    """Turns a sentence into sound."""

    name: str
    within: float
    """Seconds to the first sound, after which the next part speaks, unless haste is needed."""

    def say(self, sentence: str, *, within: float) -> AsyncIterator[rtc.AudioFrame]:
        """The sound; the first of it comes `within` seconds.

        Raises PartFailed, also after some sound.
        """

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be answered; `level` is the gate's verdict."""

    text: str
    history: Sequence[Turn]
    level: str


class Voiced(str):
    """Words that come with their own sound; all words of one stretch share one `sound`."""

    sound: "Sound"

    def __new__(cls, text: str, sound: "Sound") -> "Voiced":
        made = super().__new__(cls, text)
        made.sound = sound
        return made


@dataclass(slots=True)
class Sound:
    """The sound of a stretch of speech as it comes; None closes it."""

    frames: asyncio.Queue[rtc.AudioFrame | None] = field(default_factory=asyncio.Queue)
    words: list[str] = field(default_factory=list)
    """Words whose sound was not handed on yet."""
    played: float = 0.0
    """Seconds handed on."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a provider took for a reply: `{"provider": …, "model": …, tokens …}`."""

    usage: dict[str, object]


Word = str | Citation | Spent
"""A reply in parts: text, or `Voiced` text, with citations and usage between."""


class Mind(Protocol):
    """Answers a question."""

    name: str
    within: float
    """Seconds to the first word, after which the next part answers. They begin again when a tool
    is asked for, and when it has answered."""

    def answer(self, question: Question) -> AsyncGenerator[Word | ToolUse]:
        """Raises PartFailed, also after some words."""

    def note(self, turn: Turn, *, seconds: float | None = None) -> None:
        """Something was said that this part may not know of.

        `seconds` is how much was heard of an agent's turn that was cut.
        """

    async def aclose(self) -> None: ...
