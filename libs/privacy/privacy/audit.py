"""Whoever looks at what is another person's does it at a desk, which leaves a row in the audit log.

The row is written in the transaction of the reading itself, so there is neither without the
other. The log's newest row is signed with a key that comes from the services' secret and is not
in the database.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import Depends, Request

from kit import logs, trace
from kit.database import Clock, Database, Tx
from kit.errors import DomainError, Kind
from kit.identity import Actor, Role
from tokens import doors

MOST_RESOURCES = 200

_log = logs.get(__name__)


class NotRecorded(DomainError):
    """The audit log cannot be written now, so nothing was read or changed."""

    kind = Kind.UNAVAILABLE
    code = "audit.not_recorded"
    retry_after = 1


@dataclass(frozen=True, slots=True)
class Seal:
    """Signs places of the chain; `kid` names its key."""

    kid: str
    key: Ed25519PrivateKey = field(repr=False)

    def sign(self, kind: str, seq: int, digest: bytes) -> bytes:
        """A signature over the place `seq`, as the chain's `head` or a `checkpoint`."""
        return self.key.sign(_place(kind, seq, digest))

    def holds(self, kind: str, seq: int, digest: bytes, signature: bytes) -> bool:
        """Whether this key signed exactly that."""
        try:
            self.key.public_key().verify(signature, _place(kind, seq, digest))
        except InvalidSignature:
            return False
        return True


@lru_cache(maxsize=4)
def seal_of(secret: str) -> Seal:
    """The seal of an installation: its key is drawn from the services' secret."""
    drawn = hmac.digest(secret.encode(), b"medbot audit seal 1", "sha256")
    key = Ed25519PrivateKey.from_private_bytes(drawn)
    public = key.public_key().public_bytes_raw()
    return Seal(hashlib.sha256(public).hexdigest()[:16], key)


def _place(kind: str, seq: int, digest: bytes) -> bytes:
    return f"medbot-audit\n{kind}\n{seq}\n{digest.hex()}".encode()


@dataclass(slots=True)
class Record:
    """A transaction that may touch other people's rows, and what the log will say of it.

    SQL that reads or changes what is another person's takes a `Record` in place of a `Tx`, and
    names the people and the things that it touched.
    """

    tx: Tx
    subjects: set[UUID] = field(default_factory=set)
    resources: dict[str, None] = field(default_factory=dict)

    def about(self, *people: UUID) -> None:
        """These people's rows were read or changed."""
        self.subjects.update(people)

    def touched(self, kind: str, name: object) -> None:
        """An id, a role, a queue: letters, digits and `._-`, never a word of a person's."""
        self.resources[f"{kind}:{name}"] = None


@dataclass(frozen=True, slots=True)
class End:
    """The newest place of the chain."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Desk:
    """Where `actor` works with other people's rows; without an actor it is the operator."""

    db: Database
    service: Actor
    actor: Actor | None
    seal: Seal
    clock: Clock

    @asynccontextmanager
    async def transaction(self, action: str) -> AsyncIterator[Record]:
        """Runs under the service's own claims, and ends with the row of the log.

        What is refused by a `DomainError` changes nothing, and is recorded with its code.

        Raises:
            NotRecorded: the log cannot be written; nothing has happened.
        """
        record: Record | None = None
        try:
            async with self.db.transaction(self.service) as tx:
                record = Record(tx)
                yield record
                end = await self._append(record, action, "done")
            _tell(end)
        except NotRecorded:
            raise
        except DomainError as refused:
            if record is not None:
                async with self.db.transaction(self.service) as tx:
                    record.tx = tx
                    end = await self._append(record, action, refused.code)
                _tell(end)
            raise

    async def _append(self, record: Record, action: str, outcome: str) -> End:
        try:
            return await append(
                record,
                action,
                outcome,
                service=self.service,
                actor=self.actor,
                seal=self.seal,
                clock=self.clock,
            )
        except asyncpg.PostgresError as error:
            _log.error("audit.not_recorded", action=action, **logs.failure(error))
            raise NotRecorded from error


async def append(
    record: Record,
    action: str,
    outcome: str,
    *,
    service: Actor,
    actor: Actor | None,
    seal: Seal,
    clock: Clock,
    kind: str | None = None,
) -> End:
    """Adds a row to the chain and signs it; answers the chain's new end.

    Nobody else appends until the transaction ends, so this is its last step.
    """
    row: Any = await record.tx.fetchrow(
        "select seq, hash from medbot.audit_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        clock(),
        service.service,
        kind or ("operator" if actor is None else "person"),
        actor.id if actor is not None else None,
        sorted(actor.roles) if actor is not None else [],
        action,
        outcome,
        sorted(record.subjects),
        _bounded(list(record.resources)),
        trace.request_id.get(),
    )
    if row is None:
        raise NotRecorded
    signature = seal.sign("head", row["seq"], row["hash"])
    await record.tx.execute("select medbot.audit_sign($1, $2, $3)", row["seq"], seal.kid, signature)
    return End(row["seq"], row["hash"])


def _tell(end: End) -> None:
    """The logs are kept elsewhere than the chain: they tell later what its end was."""
    _log.info("audit.recorded", seq=end.seq, hash=end.hash.hex())


def _bounded(resources: list[str]) -> list[str]:
    """At most `MOST_RESOURCES`; the last one then says how many more there were."""
    beyond = len(resources) - MOST_RESOURCES + 1
    return resources if beyond <= 1 else [*resources[: MOST_RESOURCES - 1], f"more:{beyond}"]


desks: set[object] = set()
"""The dependencies that lead to a desk; tests walk the routes for them."""


def desk_of(role: Role) -> Callable[..., Awaitable[Desk]]:
    """A dependency: the desk of the caller, who has `role`."""

    async def at_desk(
        request: Request, actor: Annotated[Actor, Depends(doors.require(role))]
    ) -> Desk:
        state = request.app.state
        service = Actor.of_service(state.service)
        return Desk(state.context.db, service, actor, seal_of(state.service_secret), state.clock)

    doors.guards.add(at_desk)
    desks.add(at_desk)
    return at_desk


AdminDesk = Annotated[Desk, Depends(desk_of(Role.ADMIN))]
"""In place of `doors.Admin`, wherever an admin reads or changes what is another person's."""


def unaudited(dependencies: Sequence[Any]) -> bool:
    """Whether none of a route's own dependencies leads to a desk."""
    return not any(dependant.call in desks for dependant in dependencies)
