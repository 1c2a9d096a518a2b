"""How the other services see this one: its keys, its tokens, its word on who signed out."""

import asyncio
from uuid import uuid4

import pytest

from auth_service.sessions import store
from auth_service.testing import SERVICE_SECRET, Auth, Member
from kit.database import Database
from kit.errors import InvalidToken
from kit.identity import Actor, Role
from kit.settings import Settings
from kit.testing import FixedClock
from tokens import Verifier
from tokens.verification import open_verifier


def settings_for(auth: Auth) -> Settings:
    return Settings.model_validate(
        {"auth_service_url": str(auth.http.base_url), "service_token_secret": SERVICE_SECRET}
    )


async def test_another_service_knows_our_people(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    async with open_verifier(settings_for(auth), service="clinic", clock=clock) as verifier:
        actor = await verifier.verify(alice.access)
        assert (actor.id, actor.email) == (alice.id, alice.email)
        assert actor.roles == {Role.PATIENT}
        assert verifier.cached(alice.access) is actor
        clock.advance(hours=1)
        with pytest.raises(InvalidToken):
            await verifier.verify(alice.access)


async def test_signing_out_reaches_another_service_within_five_seconds(
    auth: Auth, alice: Member, bob: Member, clock: FixedClock
) -> None:
    async with open_verifier(settings_for(auth), service="clinic", clock=clock) as verifier:
        for member in (alice, bob):
            await verifier.verify(member.access)
        await auth.post("/logout", alice.access)
        async with asyncio.timeout(5):
            while verifier.cached(alice.access) is not None:
                await asyncio.sleep(0.05)
        with pytest.raises(InvalidToken):
            await verifier.verify(alice.access)
        assert verifier.cached(bob.access) is not None


async def test_a_service_that_starts_later_hears_of_earlier_sign_outs(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    await auth.post("/logout", alice.access)
    async with open_verifier(settings_for(auth), service="clinic", clock=clock) as verifier:
        async with asyncio.timeout(5):
            while await _accepts(verifier, alice.access):
                await asyncio.sleep(0.05)
        assert verifier.cached(alice.access) is None
        with pytest.raises(InvalidToken):
            await verifier.verify(alice.access)


async def _accepts(verifier: Verifier, token: str) -> bool:
    try:
        await verifier.verify(token)
    except InvalidToken:
        return False
    return True


async def test_no_ended_session_becomes_visible_behind_a_later_one(
    auth: Auth, database: Database, clock: FixedClock
) -> None:
    early, late = uuid4(), uuid4()

    async def end_late() -> None:
        async with database.transaction(Actor.of_service("auth")) as tx:
            await store.record(tx, [late], now=clock())

    async with database.transaction(Actor.of_service("auth")) as tx:
        await store.record(tx, [early], now=clock())
        waiting = asyncio.create_task(end_late())
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        assert not done
    await waiting
    async with database.transaction(Actor.of_service("auth")) as tx:
        page = await store.list_after(tx, 0)
    assert page.session_ids == (early, late)
