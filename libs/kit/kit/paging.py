"""Lists by cursor: a cursor is the place of the last item seen, so added rows shift nothing."""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel

from kit.errors import DomainError, Kind

Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=200)]


class Page(BaseModel, Generic[Item]):
    """Part of a list; `next_cursor` is null at its end."""

    items: list[Item]
    next_cursor: str | None = None


class BadCursor(DomainError):
    """The cursor is not one of ours."""

    kind = Kind.INVALID
    code = "request.bad_cursor"


def encode(*place: object) -> str:
    """An opaque cursor for a place."""
    raw = json.dumps([str(part) for part in place]).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_time(cursor: str | None) -> tuple[datetime, UUID] | None:
    """The place `(time, id)` of a cursor.

    Raises:
        BadCursor: it does not hold one.
    """
    if cursor is None:
        return None
    try:
        time, row_id = parts(cursor)
        at = datetime.fromisoformat(time)
        if at.tzinfo is None:
            raise ValueError
        return at.astimezone(UTC), UUID(row_id)
    except (ValueError, OverflowError):
        raise BadCursor from None


def decode_number(cursor: str | None) -> int | None:
    """The place of a cursor over numbers.

    Raises:
        BadCursor: it does not hold one.
    """
    if cursor is None:
        return None
    try:
        (number,) = parts(cursor)
        place = int(number)
    except ValueError:
        raise BadCursor from None
    if not 0 <= place < 2**62:
        raise BadCursor
    return place


def parts(cursor: str) -> list[str]:
    """What `encode` was given, as strings; `ValueError` if it is no cursor."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error) as error:
        raise ValueError("not a cursor") from error
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError("not a cursor")
    return parts
