"""Medbot whose accounts a Supabase project keeps: a journey through the gateway, real processes."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import supabase_database
import supabase_server
from conversing import Person
from installation import PASSWORD, Installation, fresh_email, installed, sign_up, visitor
from supabase_admin import SERVICE
from supabase_answers import Account
from supabase_server import Project

from kit import embedded
from kit.database import utc_now
from kit.identity import Actor
from kit.testing import servers

pytestmark = pytest.mark.journey

SMOKE = Path(__file__).resolve().parents[2] / "test_api.py"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A Supabase project's database on PostgreSQL 15, without a name."""
    with servers.debian_postgres() as address:
        yield address


@pytest.fixture
async def project(database: str) -> AsyncIterator[Project]:
    """A project whose database Medbot has migrated."""
    async with supabase_database.migrated(database) as name:
        made = Project(
            owner_url=supabase_database.login(database, supabase_database.OWNER, name),
            service_url=supabase_database.login(database, embedded.SERVICE_LOGIN, name),
            admin_url=supabase_database.login(database, supabase_database.ADMIN, name),
            clock=utc_now,
        )
        async with supabase_server.running(made) as running:
            yield running


@pytest.fixture
async def medbot(project: Project, database: str) -> AsyncIterator[Installation]:
    """Medbot over that project, its services by way of a pooler in transaction mode."""
    with ExitStack() as stack:
        pooler = await asyncio.to_thread(stack.enter_context, servers.pooling(database))
        made = stack.enter_context(installed())
        told = {
            "DATABASE_URL": servers.through(pooler, project.service_url),
            "NEXT_PUBLIC_SUPABASE_URL": project.url,
            "NEXT_PUBLIC_SUPABASE_ANON_KEY": supabase_server.ANON,
            "SUPABASE_SERVICE_ROLE_KEY": SERVICE,
            "SERVICE_TOKEN_SECRET": "a secret that the services of a journey share",
        }
        await asyncio.to_thread(made.begin, told)
        yield made
        await asyncio.to_thread(made.end)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def known(project: Project, *roles: str) -> Account:
    """Somebody whom only the project knows."""
    app: dict[str, Any] = {"roles": list(roles)} if roles else {}
    made = Account(
        uuid4(), fresh_email(), PASSWORD, utc_now(), True, app=app, data={"full_name": "Vera"}
    )
    await project.add(made)
    return made


async def until_complete(http: httpx.AsyncClient, erasure: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        state = (await http.get(f"/api/v1/auth/erasures/{erasure}")).json()
        if state["status"] == "complete":
            return
        assert time.monotonic() < deadline, state
        await asyncio.sleep(0.2)


async def test_a_journey(medbot: Installation, project: Project) -> None:
    async with visitor(medbot.url) as http:
        signed_up = await sign_up(http)
        signed_in = await http.post(
            "/api/v1/auth/login",
            json={"email": signed_up["user"]["email"], "password": PASSWORD},
        )
        token = signed_in.json()["session"]["access_token"]
        http.headers.update(bearer(token))
        alice = Person(Actor.of_person(signed_up["user"]["id"]), http)
        path = await alice.start()
        events = await alice.ask(path, "What helps against a headache?")
        assert events[-1].event == "done"
        assert len(await alice.messages(path)) == 2

        # Who signed in with the project's own client is known at the first request, anywhere.
        vera = await known(project)
        theirs = bearer(project.open(vera)["access_token"])
        assert (await http.get("/api/v1/conversations", headers=theirs)).status_code == 200
        profile = await http.get("/api/v1/profile", headers=theirs)
        assert profile.json()["full_name"] == "Vera"
        assert (await http.get(path, headers=theirs)).status_code == 404

        # Roles are in `app_metadata`, and hold with the next token.
        chief = bearer(project.open(await known(project, "admin"))["access_token"])
        given = await http.put(
            f"/api/v1/auth/users/{vera.id}/roles", json={"roles": ["staff"]}, headers=chief
        )
        assert given.json()["roles"] == ["staff"]
        assert project.accounts[vera.id].app["roles"] == ["staff"]
        renewed = bearer(project.open(project.accounts[vera.id])["access_token"])
        assert (await http.get("/api/v1/auth/me", headers=renewed)).json()["roles"] == ["staff"]

        erased = await http.delete("/api/v1/auth/me")
        assert erased.status_code == 202, erased.text
        await until_complete(http, erased.json()["erasure_id"])
        assert str(alice.actor.id) not in {str(each) for each in project.accounts}
        again = await http.post(
            "/api/v1/auth/login",
            json={"email": signed_up["user"]["email"], "password": PASSWORD},
            headers={"authorization": ""},
        )
        assert again.status_code == 401

    own = ("--email", vera.email, "--password", PASSWORD)
    for more in ((), own):
        done = await asyncio.create_subprocess_exec(
            sys.executable, str(SMOKE), "--url", medbot.url, *more, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await done.communicate()
        assert done.returncode == 0, said.decode()
    assert vera.id in project.accounts
