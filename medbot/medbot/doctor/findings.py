"""What a check finds."""

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """GOOD; NOTE is worth knowing and stops nothing; BAD must be mended."""

    GOOD = "✓"
    NOTE = "·"
    BAD = "✗"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `said` is how it is, `remedy` what to do. Neither quotes a secret."""

    mark: Mark
    name: str
    said: str
    remedy: str = ""


def good(name: str, said: str) -> Finding:
    """All is well."""
    return Finding(Mark.GOOD, name, said)


def note(name: str, said: str, remedy: str = "") -> Finding:
    """Worth knowing."""
    return Finding(Mark.NOTE, name, said, remedy)


def bad(name: str, said: str, remedy: str) -> Finding:
    """Must be mended."""
    return Finding(Mark.BAD, name, said, remedy)
