"""The export: whole or visibly not, one at a time, nobody else's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

import tokens
from auth_service.testing import SERVICE_SECRET, Auth, bearer, make_app
from contracts.events import HOLDERS
from kit.testing import Addresses, FixedClock, serve

PATH = "/api/v1/auth/me/export"


@dataclass
class Holder:
    """The other services, as their wire shows them: one sends the lines that it is told."""

    clock: FixedClock
    lines: list[str] = field(default_factory=lambda: ['{"rows":0}'])
    status: int = 200
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)

    async def _export(self, request: Request) -> Response:
        person, name = request.path_params["person"], request.path_params["name"]
        token = request.headers["authorization"].removeprefix("Bearer ")
        caller = tokens.verify_service(token, SERVICE_SECRET, audience=name, now=self.clock())
        assert (caller.service, str(caller.id)) == ("auth", person)
        if name != "conversation":
            return Response('{"rows":0}\n')
        self.asked.append(person)
        if self.status != 200:
            return Response(status_code=self.status)
        return StreamingResponse(self._lines(), media_type="application/x-ndjson")

    async def _lines(self) -> AsyncIterator[str]:
        for line in self.lines:
            if line == "wait":
                await self.go_on.wait()
            elif line == "cut":
                raise ConnectionResetError
            else:
                yield line + "\n"

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{name}/internal/people/{person}/export", self._export)])


@asynccontextmanager
async def beside(addresses: Addresses, clock: FixedClock, holder: Holder) -> AsyncIterator[Auth]:
    async with serve(holder.app()) as other:
        urls: dict[str, Any] = {f"{name}_service_url": f"{other.url}/{name}" for name in HOLDERS}
        app = make_app(addresses.service, clock, **urls)
        async with (
            serve(app) as served,
            httpx.AsyncClient(base_url=served.url, timeout=30) as http,
        ):
            yield Auth(app, http)


@pytest.fixture
def holder(clock: FixedClock) -> Holder:
    return Holder(clock)


@pytest.fixture
async def pair(addresses: Addresses, clock: FixedClock, holder: Holder) -> AsyncIterator[Auth]:
    """The service with a holder beside it."""
    async with beside(addresses, clock, holder) as auth:
        yield auth


def line(section: str, **row: Any) -> str:
    return json.dumps({"section": section, "row": row}, ensure_ascii=False)


async def test_the_document_has_every_row_of_the_caller_and_of_nobody_else(
    pair: Auth, holder: Holder
) -> None:
    alice = await pair.register("alice@example.org", full_name="Alice Example")
    bob = await pair.register("bob@example.org")
    await pair.put("/api/v1/profile", alice.access, {"consents": {"research": True}})
    await pair.login(alice.email)
    said = "line\u2028break \r and\x85more \U0001f642"
    holder.lines = [line("messages", content=said), line("messages", n=2), line("feed", n=3),
                    '{"rows":3}']  # fmt: skip
    answer = await pair.get(PATH, alice.access)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"].startswith("attachment")
    document = answer.json()
    assert (document["format"], document["person"]) == ("medbot-export.v1", str(alice.id))
    assert document["complete"] is True
    own = document["services"]["auth"]
    assert own["account"][0]["email"] == alice.email
    assert own["profile"][0]["full_name"] == "Alice Example"
    assert own["consents"][0]["name"] == "research"
    assert [row["role"] for row in own["roles"]] == ["patient"]
    assert (len(own["sessions"]), len(own["refresh_tokens"])) == (2, 2)
    assert document["services"].keys() == {"auth", *HOLDERS}
    assert document["services"]["conversation"] == {
        "messages": [{"content": said}, {"n": 2}], "feed": [{"n": 3}],
    }  # fmt: skip
    assert holder.asked == [str(alice.id)]
    for secret in (str(bob.id), bob.email, "argon2", alice.refresh):
        assert secret not in answer.text


@pytest.mark.parametrize("status", [500, 404, 503])
async def test_a_holder_that_refuses_is_an_error_before_the_document(
    pair: Auth, holder: Holder, status: int
) -> None:
    member = await pair.register()
    holder.status = status
    refused = await pair.get(PATH, member.access)
    assert (refused.status_code, refused.json()["code"]) == (503, "export.unavailable")
    assert "retry-after" in refused.headers
    holder.status = 200
    assert (await pair.get(PATH, member.access)).json()["complete"] is True


async def test_a_holder_that_is_away_is_an_error_before_the_document(auth: Auth) -> None:
    member = await auth.register()
    refused = await auth.get(PATH, member.access)
    assert (refused.status_code, refused.json()["code"]) == (503, "export.unavailable")


@pytest.mark.parametrize(
    "lines",
    [
        [line("feed", n=1), "cut"],
        [line("feed", n=1)],
        [line("feed", n=1), '{"rows":2}'],
        [line("feed", n=1), '{"rows":1'],
    ],
    ids=["cut", "without an end", "a row is missing", "half a line"],
)
async def test_what_was_cut_is_no_document(pair: Auth, holder: Holder, lines: list[str]) -> None:
    member = await pair.register()
    holder.lines = lines
    with pytest.raises(httpx.RemoteProtocolError):
        await pair.get(PATH, member.access)
    holder.lines = ['{"rows":0}']
    assert (await pair.get(PATH, member.access)).json()["complete"] is True


async def test_a_person_has_one_export_at_a_time(
    pair: Auth, holder: Holder, clock: FixedClock
) -> None:
    alice, bob = await pair.register(), await pair.register()
    holder.lines = ["wait", '{"rows":0}']
    first = asyncio.create_task(pair.get(PATH, alice.access))
    async with asyncio.timeout(10):
        while not holder.asked:
            await asyncio.sleep(0.01)
    again = await pair.get(PATH, alice.access)
    assert (again.status_code, again.json()["code"]) == (429, "export.running")
    other = asyncio.create_task(pair.get(PATH, bob.access))
    holder.go_on.set()
    assert (await first).json()["complete"] is True
    assert (await other).json()["complete"] is True
    assert (await pair.get(PATH, alice.access)).status_code == 200


async def test_a_reader_who_leaves_ends_the_export(pair: Auth, holder: Holder) -> None:
    member = await pair.register()
    holder.lines = [line("feed", text="x" * 100_000), "wait", '{"rows":1}']
    async with pair.http.stream("GET", PATH, headers=bearer(member.access)) as answer:
        assert answer.status_code == 200
        await anext(answer.aiter_bytes())
    holder.go_on.set()
    async with asyncio.timeout(10):
        while (await pair.get(PATH, member.access)).status_code == 429:
            await asyncio.sleep(0.05)


async def test_the_lease_of_an_instance_that_died_runs_out(
    pair: Auth, clock: FixedClock, owner: Any
) -> None:
    member = await pair.register()
    await owner.execute(
        "insert into medbot.exports (person_id, lease_until) values ($1, $2)",
        member.id, clock.now.replace(minute=5),
    )  # fmt: skip
    assert (await pair.get(PATH, member.access)).status_code == 429
    clock.advance(minutes=5)
    assert (await pair.get(PATH, member.access)).status_code == 200
