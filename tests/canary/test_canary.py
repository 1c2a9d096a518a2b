"""A made-up diagnosis, sent by every way there is, shows in its person's own answers alone."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import pytest
import scanning
import shots
from conversing import Person
from installation import LEASE, Installation, installed, newcomer, visitor
from model_server import Cut, ModelServer, Pause, Say, Step
from shots import Operation, Shot
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kit.testing import serve
from kit.testing.serving import free_port

pytestmark = pytest.mark.journey

WORD = "quixomyelitis"
SERVICES = ("auth", "conversation", "voice")
ENDING = re.compile(
    r"^(DELETE /api/v1/auth/me$|POST /api/v1/auth/logout|DELETE .*sessions|POST .*password)"
)
"""Calls that end their caller's session: they come last."""

WATCH = """
create table public.canary_seen (at text, what text);
create function public.canary_see() returns trigger language plpgsql security definer as $$
begin
  insert into public.canary_seen values (tg_table_schema || '.' || tg_table_name, new::text);
  return new;
end $$;
"""
WATCHED = (
    "medbot.outbox", "medbot.queue", "medbot.dead_letters", "medbot.inbox", "medbot.feed",
    "medbot.idempotency_keys", "medbot.audit_log", "medbot.ended_sessions", "medbot.tombstones",
    "medbot.erasures", "medbot.sign_in_failures", "medbot.usage",
)  # fmt: skip
"""Tables that hold ids and codes alone; each row that was ever in one is kept aside."""


@dataclass
class Watch:
    """What came back, in so far as it held the word where it must not."""

    leaks: set[str] = field(default_factory=set)
    sent: int = 0
    statuses: set[int] = field(default_factory=set)

    def look(self, shot: Shot, door: str, answer: httpx.Response, body: bytes) -> None:
        self.sent += 1
        self.statuses.add(answer.status_code)
        where = f"{door} {shot.method} {shot.path} ({shot.why}) {answer.status_code}"
        for name, value in answer.headers.items():
            if WORD in f"{name}: {value}".lower():
                self.leaks.add(f"header {name} of {where}")
        if answer.status_code >= 400 and WORD.encode() in body.lower():
            self.leaks.add(f"body of {where}: {body[:300]!r}")


@pytest.fixture(scope="module")
def model_at() -> int:
    return free_port()


@pytest.fixture(scope="module")
def house(model_at: int) -> Iterator[Installation]:
    """An installation of its own, whose logs are looked at as they are at the end."""
    with installed() as made:
        address = f"http://127.0.0.1:{model_at}/v1"
        made.begin(
            {
                "OPENAI_BASE_URL": address,
                "REPLY_LEASE_SECONDS": str(LEASE),
                "LLM_FIRST_TOKEN_SECONDS": "1",
            }
        )
        yield made


@pytest.fixture
async def watching(house: Installation) -> None:
    """From now on rows of tables without words are kept aside as they come."""
    owner = await asyncpg.connect(house.owner_url)
    try:
        if await owner.fetchval("select to_regclass('public.canary_seen')") is None:
            await owner.execute(WATCH)
            for table in WATCHED:
                await owner.execute(
                    f"create trigger canary after insert or update on {table}"
                    " for each row execute function public.canary_see()"
                )
    finally:
        await owner.close()


async def nothing_shows(house: Installation) -> None:
    """In no log, of whatever process, and in no row without words, past or present."""
    hits = scanning.files(house.data_dir, [WORD], but=[house.data_dir / "postgres"])
    assert hits == {}
    server_log = house.data_dir / "postgres" / "log"
    assert WORD not in server_log.read_text(errors="replace").lower()
    assert (house.data_dir / "logs" / "medbot.log").stat().st_size > 0
    if house.up is not None:
        assert WORD not in house.up.said.lower()
    seen = await house.rows(
        "select at, what from public.canary_seen where what ilike $1", f"%{WORD}%"
    )
    assert [tuple(row) for row in seen] == []


async def documents(house: Installation) -> dict[str, Mapping[str, Any]]:
    """The interface of every service, and of the gateway, as they tell it."""
    found = {}
    async with httpx.AsyncClient(timeout=30) as http:
        for name in ("gateway", *SERVICES):
            found[name] = (await http.get(f"{house.url_of(name)}/openapi.json")).json()
    return found


async def fire(http: httpx.AsyncClient, door: str, shot: Shot, watch: Watch) -> None:
    """Sends one request and looks at what comes first, for half a second at most."""
    request = http.build_request(
        shot.method, shot.path, params=shot.query, headers=dict(shot.headers), content=shot.content
    )
    try:
        answer = await http.send(request, stream=True)
    except (httpx.RemoteProtocolError, httpx.WriteError, httpx.ReadError):
        return  # it hung up on what was too large
    body = b""
    try:
        async with asyncio.timeout(0.5):
            async for part in answer.aiter_raw():
                body += part
    except (TimeoutError, httpx.HTTPError):
        pass
    finally:
        await answer.aclose()
    watch.look(shot, door, answer, body)


def forged() -> list[str]:
    """Tokens with the word in them, none of which opens anything."""

    def part(content: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    claims = {"sub": WORD, "email": WORD, "session_id": WORD, "role": WORD, "exp": 4_000_000_000}
    return [
        WORD,
        f"{WORD}.{WORD}.{WORD}",
        f"{part({'alg': 'none', 'kid': WORD, 'typ': WORD})}.{part(claims)}.",
        f"{part({'alg': 'ES256', 'kid': WORD})}.{part(claims)}.{part(WORD)}",
        f"{part({'typ': 'service+jwt', 'alg': 'HS256'})}.{part({**claims, 'iss': WORD})}.x",
    ]


async def own_things(person: Person) -> dict[str, str]:
    """A conversation with a reply, by the names of the parameters that lead to them."""
    path = await person.start(f"My {WORD}")
    answer = await person.send(path, f"I have {WORD}. What helps?")
    assert answer.status_code in {201, 503}, answer.text
    message = (await person.messages(path))[-1]["id"]
    return {"conversation_id": path.rpartition("/")[2], "message_id": message}


async def walk(
    house: Installation, person: Person, door: str, found: list[Operation], watch: Watch
) -> None:
    """Sends everything to every call that `door` knows, as one person."""
    known = await own_things(person)
    headers = {"authorization": person.http.headers["authorization"]}
    async with httpx.AsyncClient(
        base_url=house.url_of(door), timeout=30, headers=headers, trust_env=False
    ) as http:
        for operation in sorted(found, key=lambda each: bool(ENDING.fullmatch(each.name))):
            for shot in shots.shots(operation, WORD, known):
                await fire(http, door, shot, watch)
            bare = Shot("token", operation.method, operation.path)
            for token in forged():
                given = {"authorization": f"Bearer {token}"}
                refused = Shot("token", bare.method, bare.path, {}, given)
                await fire(http, door, refused, watch)


@asynccontextmanager
async def model(house: Installation, port: int, *script: Step) -> AsyncIterator[ModelServer]:
    server = ModelServer([list(script)])
    async with serve(server.app(), port=port):
        yield server


async def make_staff(house: Installation, person: Person) -> None:
    """Gives somebody every role, and a token that says so."""
    await house.rows(
        "insert into public.user_roles (user_id, role) select $1, r from unnest($2::text[]) r"
        " on conflict do nothing returning role",
        person.actor.id, ["staff", "admin"],
    )  # fmt: skip


@pytest.mark.parametrize(
    "door", ["gateway", *(pytest.param(s, marks=pytest.mark.long) for s in SERVICES)]
)
async def test_every_call_of_every_service(
    house: Installation, model_at: int, watching: None, door: str
) -> None:
    watch = Watch()
    async with model(house, model_at, Say("It helps to rest.")), newcomer(house.url) as person:
        found = list(shots.operations((await documents(house))[door]))
        assert len(found) > 5
        await walk(house, person, door, found, watch)
    assert watch.sent > 10 * len(found)
    assert {200, 401, 404, 422} <= watch.statuses
    assert sorted(watch.leaks) == []
    await nothing_shows(house)


async def test_rows_that_the_database_refuses(house: Installation, watching: None) -> None:
    """Its own log would quote the row, or the key that was there before."""
    async with visitor(house.url) as http:
        account = {"email": f"{WORD}@example.org", "password": f"{WORD}-password"}
        answers = [await http.post("/api/v1/auth/register", json=account) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 409]
        assert "duplicate key" in (house.data_dir / "postgres" / "log").read_text()
        token = answers[0].json()["session"]["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        again = {"idempotency-key": WORD}
        made = [
            await http.post("/api/v1/conversations", json={"title": WORD}, headers=again)
            for _ in range(2)
        ]
        path = f"/api/v1/conversations/{made[0].json()['id']}/messages"
        sent = [http.post(path, json={"content": f"{WORD} {n}"}) for n in range(4)]
        assert {answer.status_code for answer in await asyncio.gather(*sent)} <= {201, 409, 503}
    await nothing_shows(house)


FRAMES: tuple[Any, ...] = (
    {"event": "audio", "audio": WORD},
    {"event": WORD},
    {"type": "text", "text": f"I have {WORD}."},
    {"type": "control", "action": WORD},
    {"type": "audio", "data": WORD},
    {WORD: {WORD: [WORD]}},
    [WORD],
    WORD,
)


async def shout(url: str, **how: Any) -> list[str]:
    """Sends everything over a socket; the errors that came back, and why it was closed."""
    heard: list[str] = []
    try:
        async with connect(url, open_timeout=20, **how) as socket:
            frames: list[str | bytes] = [*map(json.dumps, FRAMES), f'{{"text": "{WORD}']
            for frame in [*frames, WORD.encode()]:
                await socket.send(frame)
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    async for message in socket:
                        said = json.loads(message)
                        if "error" in (said.get("event"), said.get("type")):
                            heard.append(str(message))
    except InvalidStatus as refused:
        heard += [f"{refused.response.headers}", f"{refused.response.body!r}"]
    except ConnectionClosed as closed:
        heard.append(str(closed))
    return heard


async def test_every_socket(house: Installation, watching: None) -> None:
    async with newcomer(house.url) as person:
        token = person.http.headers["authorization"].removeprefix("Bearer ")
        made = await person.http.post("/api/v1/voice/session", json={"metadata": {"why": WORD}})
        assert made.status_code == 201, made.text
        session, root = made.json()["session_id"], house.url.replace("http", "ws", 1)
        heard: list[str] = []
        for path in (
            "/ws/voice",
            f"/api/v1/voice/session/{session}/ws",
            f"/ws/transcript/{session}",
            f"/ws/transcript/{WORD}",
            f"/api/v1/voice/session/{WORD}/ws",
        ):
            heard += await shout(f"{root}{path}?token={token}&more={WORD}")
            heard += await shout(f"{root}{path}?token={WORD}")
            heard += await shout(f"{root}{path}", subprotocols=["bearer", WORD])
    assert heard
    assert [each for each in heard if WORD in each.lower()] == []
    await nothing_shows(house)


async def test_a_model_that_breaks_off_with_it_on_its_lips(
    house: Installation, model_at: int, watching: None
) -> None:
    async with (
        model(house, model_at, Say(f"You have {WORD}, "), Pause(0.2), Cut()) as server,
        newcomer(house.url) as person,
    ):
        path = await person.start()
        answer = await person.send(path, f"I have {WORD}. What helps?")
        assert answer.status_code == 503
        assert WORD not in answer.text
        assert server.requests
    await nothing_shows(house)


async def test_a_database_that_dies_while_it_is_being_said(
    house: Installation, model_at: int, watching: None
) -> None:
    script = [step for n in range(60) for step in (Say(f"{WORD} {n} "), Pause(0.05))]
    async with model(house, model_at, *script), newcomer(house.url) as person:
        path = await person.start(WORD)
        asking = asyncio.create_task(person.send(path, f"I have {WORD}."))
        await asyncio.sleep(1)
        await asyncio.to_thread(house.stop_database, "immediate")
        away = [
            await person.http.post("/api/v1/conversations", json={"title": WORD}),
            await person.http.get("/api/v1/conversations", params={"q": WORD}),
        ]
        await asyncio.to_thread(house.start_database)
        await asyncio.gather(asking, return_exceptions=True)
        for answer in away:
            assert answer.status_code >= 500
            assert WORD not in answer.text
    await nothing_shows(house)


async def test_a_process_that_is_killed_while_it_is_being_said(
    house: Installation, model_at: int, watching: None
) -> None:
    script = [step for n in range(60) for step in (Say(f"{WORD} {n} "), Pause(0.05))]
    async with model(house, model_at, *script), newcomer(house.url) as person:
        path = await person.start(WORD)
        asking = asyncio.create_task(person.send(path, f"I have {WORD}."))
        await asyncio.sleep(1)
        said = house.up
        await asyncio.to_thread(house.kill)
        await asyncio.gather(asking, return_exceptions=True)
        assert said is not None
        assert WORD not in said.said.lower()
        await asyncio.to_thread(house.begin)
        async with asyncio.timeout(15):
            while (await person.messages(path))[-1]["status"] == "streaming":
                await asyncio.sleep(0.1)
    await nothing_shows(house)
