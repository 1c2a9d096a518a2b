"""The gate that every message passes before any model answers it."""

import logging
from collections.abc import Sequence

from assistant.safety import gate, replies
from assistant.safety.verdict import Assessment, Fired, Level, Resource, Span
from assistant.turns import Turn

__all__ = [
    "Assessment",
    "Fired",
    "Level",
    "Resource",
    "Span",
    "assess",
    "emergency_number",
    "open_gate",
]

open_gate = gate.open_gate
_log = logging.getLogger(__name__)
_FAILED = "Please speak to a doctor or nurse today, and call the emergency number if it is serious."


def assess(text: str, history: Sequence[Turn] = (), locale: str = "en-GB") -> Assessment:
    """Returns how pressing `text` is, and what to say at once.

    `history` is what was said before, oldest first; `locale` is a BCP 47 tag that picks the
    numbers. Offsets count code points of `text`. Never raises: a fault of the gate is `urgent`.
    """
    try:
        return open_gate().assess(text, history, locale)
    except Exception as error:
        _log.error("safety.gate_failed", extra={"error_type": type(error).__name__})
        return Assessment(Level.URGENT, (Fired("gate.failed", ()),), _failure(locale), ())


def emergency_number(locale: str) -> str:
    """Returns what to call in an emergency: a number, or words where the place is not known."""
    return replies.load().number(locale)


def _failure(locale: str) -> str:
    try:
        return replies.load().failure(locale)
    except Exception:
        return _FAILED
