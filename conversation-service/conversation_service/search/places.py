"""Cursors over results that are ordered by rank."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kit import paging

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list of results goes on: after this one, among what had been said at `asof`."""

    rank: float
    created_at: datetime
    id: UUID
    asof: datetime


def encode(place: Place) -> str:
    """An opaque cursor."""
    return paging.encode(
        place.rank.hex(), _microseconds(place.created_at), place.id, _microseconds(place.asof)
    )


def decode(cursor: str | None) -> Place | None:
    """The place that a cursor of `encode` holds.

    Raises:
        paging.BadCursor: it holds none.
    """
    if cursor is None:
        return None
    try:
        rank, created_at, row_id, asof = paging.parts(cursor)
        return Place(float.fromhex(rank), _time(created_at), UUID(row_id), _time(asof))
    except (ValueError, OverflowError):
        raise paging.BadCursor from None


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def _time(microseconds: str) -> datetime:
    return _EPOCH + timedelta(microseconds=int(microseconds))
