"""Whether the audit log is as it was written: every hash, every number, both ends.

Nothing of the database's own is believed: the hashes are computed here. Who can write the tables
and does not know the services' secret cannot mend the chain after a change, since its end is
signed. An older state of the whole database, with its own old end, is told apart by an anchor
alone: a number and a hash that were noted elsewhere.
"""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from auth_service.audit import store
from auth_service.audit.models import Fault, Verdict
from kit.database import Tx
from privacy.audit import Seal

BEGINNING = hashlib.sha256(b"medbot audit log").digest()
FURTHEST = 100_000
"""How far from its own place a row is looked for."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the chain once was, noted outside the database."""

    seq: int
    hash: bytes


class _Broken(Exception):
    def __init__(self, fault: Fault, seq: int, said: str) -> None:
        self.fault, self.seq, self.said = fault, seq, said
        super().__init__(said)


@dataclass(slots=True)
class _Walk:
    """How far the chain was followed; `met` is whether the anchor's row was."""

    seq: int
    hash: bytes
    rows: int = 0
    first: int | None = None
    met: bool = False


def digest(row: Any, *, seq: int | None = None, previous: bytes | None = None) -> bytes:
    """The hash that a row must have, in its place or in another."""
    columns = [
        row["seq"] if seq is None else seq,
        (row["at"] - _EPOCH) // timedelta(microseconds=1),
        row["service"],
        row["actor_kind"],
        str(row["actor"]) if row["actor"] is not None else None,
        row["actor_roles"],
        row["action"],
        row["outcome"],
        [str(subject) for subject in row["subjects"]],
        row["resources"],
        row["request_id"],
    ]
    written = json.dumps(columns, ensure_ascii=False)
    return hashlib.sha256((previous or row["previous"]) + written.encode()).digest()


async def verify(tx: Tx, seal: Seal, anchor: Anchor | None = None) -> Verdict:
    """Follows the chain from its beginning, or its checkpoint, to its signed end.

    `tx` is the auth service's. Rows that are appended meanwhile are none of its business.
    """
    while True:
        start = await store.checkpoint(tx)
        verdict = await _follow(tx, seal, anchor, start)
        if verdict.whole or await store.checkpoint(tx) == start:
            return verdict  # else old rows were removed while they were looked at


async def _follow(tx: Tx, seal: Seal, anchor: Anchor | None, start: store.Place | None) -> Verdict:
    head = await store.head(tx)
    walk = _Walk(start.seq, start.hash) if start else _Walk(0, BEGINNING)
    try:
        if start is not None:
            _check_signed(seal, "checkpoint", start)
            await _check_forgotten(tx, seal, walk, anchor)
        async for row in store.chain(tx):
            if row["seq"] > head.seq and walk.seq == head.seq:
                break
            await _step(tx, walk, row, head.seq)
            _check_anchor(walk, anchor, row["seq"], row["hash"])
        _check_end(seal, walk, head, anchor)
        await _check_people(tx)
    except _Broken as broken:
        return _verdict(walk, head, anchor, broken)
    return _verdict(walk, head, anchor, None)


async def _step(tx: Tx, walk: _Walk, row: Any, newest: int) -> None:
    """Takes the next row, which must follow the last one by number, link and hash."""
    expected = walk.seq + 1
    if digest(row) != row["hash"] or row["previous"] != walk.hash or row["seq"] != expected:
        raise await _why(tx, walk, row, newest)
    walk.seq, walk.hash, walk.rows = row["seq"], row["hash"], walk.rows + 1
    walk.first = row["seq"] if walk.first is None else walk.first


async def _why(tx: Tx, walk: _Walk, row: Any, newest: int) -> _Broken:
    expected = walk.seq + 1
    if row["seq"] > expected:
        return _Broken(Fault.REMOVED, expected, f"row {expected} was removed")
    if digest(row) == row["hash"]:
        # A row with a right hash and a wrong link: whoever the next row follows is as it was.
        intact = await store.link_after(tx, row["seq"]) == row["hash"] and walk.rows > 0
        changed = walk.seq if intact else expected
        said = f"row {changed} was changed, and its hash with it"
        return _Broken(Fault.CHANGED, changed, said)
    home = await asyncio.to_thread(_home, row, newest)  # it may take seconds
    if home is None:
        return _Broken(Fault.CHANGED, expected, f"row {expected} was changed")
    if home > expected and not await store.has_hash(tx, row["previous"]):
        said = f"row {expected} was removed: what stands there was written as row {home}"
        return _Broken(Fault.REMOVED, expected, said)
    said = f"row {expected} was reordered: what stands there was written as row {home}"
    return _Broken(Fault.REORDERED, expected, said)


def _home(row: Any, newest: int) -> int | None:
    """The number under which a row was written, when it is not the one that it has now."""
    own: int = row["seq"]
    for distance in range(1, FURTHEST):
        for seq in (own + distance, own - distance):
            if 0 < seq <= newest + 1 and digest(row, seq=seq) == row["hash"]:
                return seq
    return None


def _check_anchor(walk: _Walk, anchor: Anchor | None, seq: int, digest: bytes) -> None:
    if anchor is None or seq != anchor.seq:
        return
    walk.met = True
    if digest != anchor.hash:
        said = f"row {anchor.seq} is not the one that was noted"
        raise _Broken(Fault.ANCHOR, anchor.seq, said)


async def _check_forgotten(tx: Tx, seal: Seal, walk: _Walk, anchor: Anchor | None) -> None:
    """Of the rows that retention removed, those at which it stopped can still be compared."""
    place = await store.checkpoint(tx, anchor.seq) if anchor is not None else None
    if place is not None:
        _check_signed(seal, "checkpoint", place)
        _check_anchor(walk, anchor, place.seq, place.hash)


def _check_end(seal: Seal, walk: _Walk, head: store.Place, anchor: Anchor | None) -> None:
    if walk.seq < head.seq:
        said = f"row {walk.seq + 1} was removed, and all after it up to row {head.seq}"
        raise _Broken(Fault.REMOVED, walk.seq + 1, said)
    if walk.hash != head.hash:
        said = f"row {head.seq} was changed, and its hash with it"
        raise _Broken(Fault.CHANGED, head.seq, said)
    if head.seq > 0:
        _check_signed(seal, "head", head)
    if anchor is not None and anchor.seq > head.seq:
        said = f"row {anchor.seq} was noted, and the log ends at row {head.seq}"
        raise _Broken(Fault.ANCHOR, anchor.seq, said)


async def _check_people(tx: Tx) -> None:
    """Nobody stands in another's place: a pseudonym is drawn from its person and a salt."""
    async for row in store.people(tx):
        drawn = hashlib.sha256(row["salt"].bytes + row["person_id"].bytes).digest()[:16]
        if drawn != row["pseudonym"].bytes:
            seq = await store.first_about(tx, row["pseudonym"]) or 0
            said = f"the person whom row {seq} names was changed"
            raise _Broken(Fault.CHANGED, seq, said)


def _check_signed(seal: Seal, kind: str, place: store.Place) -> None:
    if place.signature is None or place.kid is None:
        raise _Broken(Fault.UNSIGNED, place.seq, f"the {kind} at row {place.seq} is not signed")
    if not seal.holds(kind, place.seq, place.hash, place.signature):
        other = "" if place.kid == seal.kid else f"; key {place.kid}, ours is {seal.kid}"
        said = f"the {kind} at row {place.seq} was not signed with SERVICE_TOKEN_SECRET{other}"
        raise _Broken(Fault.UNSIGNED, place.seq, said)


def _verdict(
    walk: _Walk, head: store.Place, anchor: Anchor | None, broken: _Broken | None
) -> Verdict:
    said = f"{walk.rows} rows, unbroken up to row {head.seq}"
    if anchor is not None and not walk.met:
        said += (
            f"; row {anchor.seq} was noted, and retention has removed it: nothing could be"
            " compared with it, so note a newer one"
        )
    compared: Literal["holds", "differs", "too_old"] | None = None
    if anchor is not None and broken is None:
        compared = "holds" if walk.met else "too_old"
    elif broken is not None and broken.fault is Fault.ANCHOR:
        compared = "differs"
    return Verdict(
        whole=broken is None,
        rows=walk.rows,
        first=walk.first,
        head=head.seq,
        head_hash=head.hash.hex(),
        fault=broken.fault if broken else None,
        seq=broken.seq if broken else None,
        anchor=compared,
        said=broken.said if broken else said,
    )
