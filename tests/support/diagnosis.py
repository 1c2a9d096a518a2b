"""A made-up diagnosis: how it is sent everywhere, and where it must not show."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import scanning
from conversing import Person
from installation import Installation
from model_server import ModelServer, Step
from shots import Shot

from kit.testing import serve

WORD = "quixomyelitis"
SERVICES = ("auth", "conversation", "voice")
METRICS_TOKEN = "t" * 24
HANDED_OVER_WITHIN = 2.0
"""Seconds after which the spans of what was done have come."""

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


async def keep_rows(house: Installation) -> None:
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
    if house.up is not None:
        await no_count_shows(house)


async def no_count_shows(house: Installation) -> None:
    """In no metric of any service."""
    headers = {"authorization": f"Bearer {METRICS_TOKEN}"}
    async with httpx.AsyncClient(timeout=30, headers=headers, trust_env=False) as http:
        for name in ("gateway", *SERVICES):
            answer = await http.get(f"{house.url_of(name)}/metrics")
            assert answer.status_code == 200
            assert "http_server_request_duration_seconds" in answer.text
            assert WORD not in answer.text.lower()


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


@asynccontextmanager
async def model(house: Installation, port: int, *script: Step) -> AsyncIterator[ModelServer]:
    server = ModelServer([list(script)])
    async with serve(server.app(), port=port):
        yield server
