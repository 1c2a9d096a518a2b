"""Idempotency keys: per person, for 24 h, ids of what was made and never its words.

The key's row is written in the transaction that makes the thing, so both are there or neither.
"""

import hashlib
import json
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header

from kit.database import Tx
from kit.errors import DomainError, InvalidToken, Kind
from kit.identity import Actor

KEPT = timedelta(hours=24)

Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$"),
]


class Mismatch(DomainError):
    """This idempotency key was used with another request before."""

    kind = Kind.CONFLICT
    code = "idempotency.mismatch"


def digest(owner: UUID | None, key: str, call: str, body: object) -> bytes:
    """A fingerprint of a request; the key and the person salt it."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{owner}\n{key}\n{call}\n{canonical}".encode()).digest()


async def claim(
    tx: Tx, actor: Actor, key: str | None, call: str, body: object, made: dict[str, str]
) -> dict[str, str] | None:
    """Binds `key` to what this transaction makes.

    Answers None when the key is new (or there is none), else what was made under it before. Of
    two transactions with one key the second waits for the first.

    Raises:
        Mismatch: the key belongs to another request.
        InvalidToken: the person was erased.
    """
    if key is None:
        return None
    row: Any = await tx.fetchrow(
        "insert into medbot.idempotency_keys (owner_id, key, digest, made) values ($1, $2, $3, $4)"
        " on conflict (owner_id, key) do nothing returning key",
        actor.id,
        _kept_as(key),
        digest(actor.id, key, call, body),
        made,
    )
    if row is not None:
        return None
    before = await earlier(tx, actor, key, call, body)
    if before is None:
        raise InvalidToken  # the person was erased meanwhile: nothing is written for them
    return before


async def earlier(
    tx: Tx, actor: Actor, key: str | None, call: str, body: object
) -> dict[str, str] | None:
    """What was made under `key` before; None when it is new or there is none.

    Raises:
        Mismatch: the key belongs to another request.
    """
    if key is None:
        return None
    row: Any = await tx.fetchrow(
        "select digest, digest_of, made from medbot.idempotency_keys"
        " where owner_id = $1 and key = $2",
        actor.id,
        _kept_as(key),
    )
    if row is None:
        return None
    asked_by = row["digest_of"] or actor.id  # a guest who has this account now
    if row["digest"] != digest(asked_by, key, call, body):
        raise Mismatch
    found: dict[str, str] = row["made"]
    return found


def _kept_as(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()  # whoever chose it may have chosen words


async def forget_old(tx: Tx) -> int:
    """Deletes keys older than `KEPT`; for a service's own actor."""
    done = await tx.execute(
        "delete from medbot.idempotency_keys where created_at < clock_timestamp() - $1::interval",
        KEPT,
    )
    return int(done.rpartition(" ")[2])
