"""Signing keys follow each other: nobody is signed out, receipts stay true, an old key ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import jwt
import pytest

import tokens
from auth_service.providers import signing
from auth_service.testing import Auth, Member
from contracts.events import HOLDERS
from kit import outbox
from kit.database import Database
from kit.errors import InvalidToken
from kit.identity import Actor
from kit.testing import FixedClock

JWKS = "/.well-known/jwks.json"
ITSELF = Actor.of_service("auth")


@pytest.fixture
async def rotate(database: Database, clock: FixedClock) -> Callable[[], Awaitable[str]]:
    async def rotate() -> str:
        async with database.transaction(ITSELF) as tx:
            return (await signing.rotate(tx, now=clock()))[1]

    return rotate


@pytest.fixture
async def verifier(auth: Auth, clock: FixedClock) -> AsyncIterator[tokens.Verifier]:
    """As another service verifies."""
    async with httpx.AsyncClient() as http:
        keys = tokens.RemoteKeys(f"{auth.http.base_url}{JWKS}", http, clock=clock)
        yield tokens.Verifier(keys, clock=clock, issuer="medbot")


Rotate = Callable[[], Awaitable[str]]


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def published(auth: Auth, count: int) -> list[dict[str, Any]]:
    """The keys of the JWKS, as soon as they are so many."""
    async with asyncio.timeout(10):
        while True:
            keys: list[dict[str, Any]] = (await auth.get(JWKS)).json()["keys"]
            if len(keys) == count:
                return keys
            await asyncio.sleep(0.05)


async def signed_by(auth: Auth, member: Member, wanted: str) -> Member:
    """Signs in anew until the key signs."""
    async with asyncio.timeout(10):
        while True:
            again = Member.of((await auth.login(member.email)).json())
            if kid(again.access) == wanted:
                return again
            await asyncio.sleep(0.05)


async def test_a_new_key_is_shown_before_it_signs_and_the_old_one_holds_an_hour(
    auth: Auth, alice: Member, clock: FixedClock, rotate: Rotate, verifier: tokens.Verifier
) -> None:
    old = kid(alice.access)
    assert (await verifier.verify(alice.access)).id == alice.id
    clock.advance(seconds=1)
    new = await rotate()
    shown = await published(auth, 2)
    assert [key["kid"] for key in shown] == [new, old]
    assert kid(Member.of((await auth.login(alice.email)).json()).access) == old, "not seen by all"
    clock.advance(seconds=20)
    again = await signed_by(auth, alice, new)
    for token in (alice.access, again.access):
        assert (await auth.get("/api/v1/auth/me", token)).status_code == 200
        assert (await verifier.verify(token)).id == alice.id
    clock.advance(minutes=59, seconds=50)
    assert (await auth.get("/api/v1/auth/me", again.access)).status_code == 200
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 401


async def test_a_stolen_old_key_signs_nothing_that_holds_after_its_end(
    auth: Auth, alice: Member, clock: FixedClock, rotate: Rotate, verifier: tokens.Verifier
) -> None:
    stolen = signing.Signer(auth.context.signer._held, {})
    await rotate()
    await published(auth, 2)
    clock.advance(hours=1, minutes=3)
    claims = jwt.decode(alice.access, options={"verify_signature": False})
    now = int(clock().timestamp())
    forged = stolen.sign({**claims, "iat": now, "exp": now + 600})
    assert (await auth.get("/api/v1/auth/me", forged)).status_code == 401
    with pytest.raises(InvalidToken):
        await verifier.verify(forged)


async def test_a_receipt_of_before_still_verifies(
    auth: Auth, alice: Member, clock: FixedClock, rotate: Rotate, database: Database
) -> None:
    asked = await auth.delete("/api/v1/auth/me", alice.access)
    erasure_id = asked.json()["erasure_id"]
    for name, done in HOLDERS.items():
        async with database.transaction(Actor.of_service(name)) as tx:
            event = done.model_validate({"erasure_id": erasure_id})
            await outbox.emit(tx, event, source=name)
    async with asyncio.timeout(15):
        path = f"/api/v1/auth/erasures/{erasure_id}"
        while (receipt := (await auth.get(path)).json()["receipt"]) is None:
            await asyncio.sleep(0.02)
    for count in (2, 3):
        await rotate()
        clock.advance(days=400)
        keys = await published(auth, count)
    (named,) = [key for key in keys if key["kid"] == kid(receipt)]
    public = jwt.PyJWK.from_dict(named).key
    said = jwt.decode(receipt, public, algorithms=["ES256"], options={"verify_iat": False})
    assert said["jti"] == erasure_id


async def test_the_private_half_of_an_old_key_is_gone(
    owner: Any, rotate: Rotate, auth: Auth
) -> None:
    await rotate()
    await rotate()
    rows = await owner.fetch("select active, private_pem, valid_until from medbot.signing_keys")
    assert len(rows) == 3
    for row in rows:
        assert row["active"] is (row["private_pem"] is not None) is (row["valid_until"] is None)
    assert sum(row["active"] for row in rows) == 1


async def test_a_rotation_that_is_cut_short_changes_nothing(
    auth: Auth, database: Database, alice: Member, clock: FixedClock
) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with database.transaction(ITSELF) as tx:
            await signing.rotate(tx, now=clock())
            await tx.execute("select 1 / 0")
    assert [key["kid"] for key in await published(auth, 1)] == [kid(alice.access)]
    assert (await auth.login(alice.email)).status_code == 200


async def test_rotations_at_once_leave_one_key_that_signs(
    auth: Auth, rotate: Rotate, alice: Member, clock: FixedClock
) -> None:
    made = await asyncio.gather(*(rotate() for _ in range(4)))
    keys = await published(auth, 5)
    active = [key["kid"] for key in keys if "exp" not in key]
    assert len(set(made)) == 4
    assert set(active) < set(made)
    clock.advance(seconds=20)
    await signed_by(auth, alice, active[0])


async def test_an_instance_that_starts_later_signs_with_the_newest(
    auth: Auth, alice: Member, rotate: Rotate, clock: FixedClock, database: Database
) -> None:
    new = await rotate()
    async with database.transaction(ITSELF) as tx:
        late = await signing.open_signer(tx, now=clock() + timedelta(seconds=1))
    assert late.kid == new
    assert kid(alice.access) in {key["kid"] for key in late.jwks["keys"]}
