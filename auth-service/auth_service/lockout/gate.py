"""The gate of sign-in: each failure makes the next attempt wait longer, however it comes.

Three counters decide: of the account from this address, of the account from everywhere, and of the
address. The first is strict. The second stops many addresses that guess one password, and waits a
minute at most; the third stops one address that tries many people. Both leave out whoever signed
in to the account from this address before, so that strangers elsewhere cannot keep a person out of
their own account. Whoever is kept out at a new place can set a new password by mail.

The counters know nothing but keyed hashes, and are the same for addresses that nobody has.
"""

import hashlib
import hmac
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from auth_service import emails
from auth_service.lockout import store
from kit.database import Clock, Database, Tx
from kit.errors import DomainError, Kind
from kit.identity import Actor

FORGOTTEN_AFTER = timedelta(hours=24)
PLACES_KEPT = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class Rule:
    """After `free` failures one second, then twice as long each time, up to `longest`."""

    free: int
    longest: timedelta

    def delay(self, failures: int) -> timedelta:
        """How long the next attempt waits after so many failures."""
        if failures < self.free:
            return timedelta()
        return min(self.longest, timedelta(seconds=2 ** min(failures - self.free, 20)))


PAIR = Rule(free=5, longest=timedelta(minutes=15))
ACCOUNT = Rule(free=20, longest=timedelta(minutes=1))
ADDRESS = Rule(free=50, longest=timedelta(minutes=5))


class Locked(DomainError):
    """Too many attempts to sign in; wait, then try again."""

    kind = Kind.TOO_MANY
    code = "auth.locked"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody who says that an account is theirs; the keys under which they are counted."""

    pair: bytes
    account: bytes
    address: bytes

    def rules(self, *, known_place: bool) -> dict[bytes, Rule]:
        """The counters that decide."""
        if known_place:
            return {self.pair: PAIR}
        return {self.pair: PAIR, self.account: ACCOUNT, self.address: ADDRESS}


class Gate:
    """Asked before a password is compared, and told after."""

    def __init__(self, db: Database, secret: str, clock: Clock, actor: Actor) -> None:
        self._db = db
        self._secret = hmac.digest(secret.encode(), b"failed sign-ins", "sha256")
        self._clock = clock
        self._actor = actor

    def attempt(self, email: str, address: str) -> Attempt:
        """An attempt on the account `email`, as typed, from a network `address`."""
        written = emails.lenient(email) or email.strip().lower()
        return Attempt(
            self._key("pair", written, address),
            self._key("account", written),
            self._key("address", address),
        )

    async def check(self, attempt: Attempt) -> None:
        """Raises Locked while the attempt must wait."""
        async with self._db.transaction(self._actor) as tx:
            rules = attempt.rules(known_place=await store.is_place(tx, attempt.pair))
            _refuse_blocked(await store.read(tx, list(rules)), self._clock())

    async def failed(self, attempt: Attempt) -> None:
        """Counts a wrong password.

        Raises:
            Locked: others failed while this one was compared; the answer then says nothing of it.
        """
        async with self._db.transaction(self._actor) as tx:
            await self._fail(tx, attempt, self._clock())

    async def _fail(self, tx: Tx, attempt: Attempt, now: datetime) -> None:
        rules = attempt.rules(known_place=await store.is_place(tx, attempt.pair))
        counters = await store.lock(tx, list(rules), now=now)
        _refuse_blocked(counters, now)
        await store.write(tx, [_counted(one, rules[one.key], now) for one in counters])

    async def passed(self, attempt: Attempt, user_id: UUID) -> None:
        """Forgets the failures after the right password, and remembers the place.

        Raises:
            Locked: others failed while this one was compared, so it counts for nothing.
        """
        now = self._clock()
        async with self._db.transaction(self._actor) as tx:
            rules = attempt.rules(known_place=await store.is_place(tx, attempt.pair))
            _refuse_blocked(await store.read(tx, list(rules)), now)
            await self._open(tx, attempt, user_id, now)

    async def opened(self, attempt: Attempt, user_id: UUID) -> None:
        """Forgets the failures for somebody who proved who they are in another way."""
        async with self._db.transaction(self._actor) as tx:
            await self._open(tx, attempt, user_id, self._clock())

    async def _open(self, tx: Tx, attempt: Attempt, user_id: UUID, now: datetime) -> None:
        await store.delete(tx, sorted((attempt.pair, attempt.account)))
        await store.keep_place(tx, attempt.pair, user_id, now=now)

    async def forget_old(self) -> None:
        """Deletes what is too old to matter."""
        now = self._clock()
        async with self._db.transaction(self._actor) as tx:
            await store.forget(
                tx, failed_before=now - FORGOTTEN_AFTER, seen_before=now - PLACES_KEPT
            )

    def _key(self, *parts: str) -> bytes:
        written = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, written, hashlib.sha256)


def _refuse_blocked(counters: list[store.Counter], now: datetime) -> None:
    wait = max((one.blocked_until - now for one in counters), default=timedelta())
    if wait > timedelta():
        raise Locked(retry_after=math.ceil(wait.total_seconds()))


def _counted(counter: store.Counter, rule: Rule, now: datetime) -> store.Counter:
    """One failure more; old ones do not count."""
    before = 0 if now - counter.failed_at > FORGOTTEN_AFTER else counter.failures
    failures = before + 1
    return store.Counter(counter.key, failures, now, now + rule.delay(failures))
