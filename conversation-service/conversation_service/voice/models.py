"""What of a spoken turn goes into its message."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from assistant.turns import Citation
from contracts.voice import SpokenTurn
from conversation_service.messages.models import Triage
from kit import logs

_citations: TypeAdapter[tuple[Citation, ...]] = TypeAdapter(tuple[Citation, ...])
_triage = TypeAdapter(Triage)

_log = logs.get(__name__)


def citations(turn: SpokenTurn) -> list[dict[str, Any]]:
    """The sources of a turn; its words are kept even where these are of no known shape."""
    kept: list[dict[str, Any]] = _kept(_citations, turn.citations) or []
    return kept


def triage(turn: SpokenTurn) -> dict[str, Any] | None:
    """The gate's verdict on a turn."""
    if turn.triage is None:
        return None
    kept: dict[str, Any] | None = _kept(_triage, turn.triage)
    return kept


def latency(turn: SpokenTurn) -> dict[str, Any] | None:
    """Milliseconds from the end of the caller's speech; None where nothing was measured."""
    measured = turn.latency.model_dump(exclude_none=True)
    return measured or None


def _kept(shape: TypeAdapter[Any], value: object) -> Any:
    try:
        return shape.dump_python(shape.validate_python(value), mode="json")
    except ValidationError as refused:
        _log.warning("turn.part_dropped", faults=refused.error_count())
        return None
