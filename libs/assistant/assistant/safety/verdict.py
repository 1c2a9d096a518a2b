"""What the gate says about a message, in types that leave the package."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How soon somebody must help, most pressing first."""

    EMERGENCY = "emergency"
    CRISIS = "crisis"
    URGENT = "urgent"
    ROUTINE = "routine"
    NONE = "none"

    @property
    def rank(self) -> int:
        """0 is the most pressing."""
        return list(Level).index(self)


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of code points in the text that was assessed."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that fired; `spans` are the words that fired it, in order, possibly none."""

    id: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """A number or address to turn to; `locale` is where it works, `*` for anywhere."""

    name: str
    number: str
    locale: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """The gate's verdict: `message` is said first and is absent when there is nothing to say."""

    level: Level
    rules: tuple[Fired, ...]
    message: str | None
    resources: tuple[Resource, ...]
