"""Speech is counted like every other use of a model, and a cap on it leads to offline voice."""

import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from conversing import Person, Start, Visit
from pydantic import SecretStr
from speaking import SESSION, job

from contracts.voice import Pipeline
from kit.testing import Addresses, Issuer, Served

CLOUD: dict[str, Any] = {"openai_api_key": SecretStr("sk-test"), "voice_pipeline": "cascade"}
BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = {"started_at": BEGAN.isoformat(), "ended_at": (BEGAN + timedelta(minutes=1)).isoformat()}
SPENT = {"provider": "openai-realtime", "model": "gpt-realtime", "input_tokens": 100,
         "output_tokens": 10}  # fmt: skip


@pytest.fixture
async def owner(addresses: Addresses) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(addresses.owner)
    yield connection
    await connection.close()


async def make(person: Person, **body: Any) -> dict[str, Any]:
    answer = await person.http.post(SESSION, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def talk(served: Served, session: dict[str, Any], **more: Any) -> None:
    """A minute of the caller, a minute of the agent, told twice."""
    async with job(served, session["session_id"]) as running:
        for _ in range(2):
            for seq, role in ((1, "user"), (2, "assistant")):
                told = more if role == "assistant" else {}
                answer = await running.say(role, "word", seq, **MINUTE, **told)
                assert answer.status_code == 204, answer.text


@pytest.mark.parametrize(
    ("pipeline", "counted"),
    [
        ("cascade", {"gpt-4o-mini-transcribe": 3_000, "gpt-4o-mini-tts": 15_000}),
        ("realtime", {"gpt-4o-mini-transcribe": 3_000, "gpt-realtime": 100 * 32 + 10 * 64}),
        ("offline", {}),
    ],
)
async def test_a_turn_is_counted_once_by_its_length_and_tokens(
    start: Start, visit: Visit, owner: Any, pipeline: Pipeline, counted: dict[str, int]
) -> None:
    served = await start(**CLOUD, cost_cap_day_usd=100.0, cost_cap_person_day_usd=100.0)
    alice = await visit(served)
    session = await make(alice, pipeline=pipeline)
    assert (session["pipeline"], session["limited"]) == (pipeline, None)
    await talk(served, session, usage=[SPENT] if pipeline == "realtime" else [])
    rows = await owner.fetch("select * from medbot.usage")
    assert {row["model"]: row["micro_usd"] for row in rows} == counted
    assert {(row["service"], row["owner_id"], row["calls"]) for row in rows} <= {
        ("voice", alice.actor.id, 1)
    }
    spent = await owner.fetch("select micro_usd from medbot.spending")
    assert [row["micro_usd"] for row in spent] == [sum(counted.values())] * (2 if counted else 0)
    shown = (await alice.http.get("/metrics")).text
    costs = re.findall(r'model_cost_usd_total{model="(.+)",provider=".+"} (.+)', shown)
    assert {model: round(float(cost) * 1e6) for model, cost in costs} == counted


async def test_metrics_name_only_known_providers(start: Start, visit: Visit) -> None:
    served = await start(**CLOUD)
    alice = await visit(served)
    told = {**SPENT, "provider": "I have", "model": "quixitis and a cough", "first_token_ms": 250}
    await talk(served, await make(alice, pipeline="realtime"), usage=[told])
    shown = (await alice.http.get("/metrics")).text
    assert "quixitis" not in shown
    other = 'model="other",provider="other"'
    assert f'medbot_model_tokens_total{{kind="input",{other}}} 100.0' in shown
    assert f"medbot_model_first_token_seconds_count{{{other}}} 1.0" in shown
    assert f"medbot_model_first_token_seconds_sum{{{other}}} 0.25" in shown


async def test_at_the_cap_a_session_speaks_offline_and_says_so(
    start: Start, visit: Visit, owner: Any
) -> None:
    served = await start(**CLOUD, cost_cap_person_day_usd=0.2)
    alice, bob = await visit(served), await visit(served)
    first = await make(alice)
    assert (first["pipeline"], first["limited"]) == ("cascade", None)
    await talk(served, first)
    await owner.execute("update medbot.spending set micro_usd = micro_usd + 170000")
    second = await make(alice)
    assert (second["pipeline"], second["limited"]) == ("offline", "person")
    async with job(served, second["session_id"]) as running:
        plan = await running.plan()
    assert (plan.pipeline, plan.limited) == ("offline", True)
    assert (await make(bob))["limited"] is None
    shown = (await alice.http.get(f"{SESSION}/{second['session_id']}")).json()
    assert shown["limited"] == "person"


async def test_what_was_written_and_what_was_spoken_share_a_cap(
    start: Start, visit: Visit, owner: Any
) -> None:
    served = await start(**CLOUD, cost_cap_day_usd=1.0)
    await owner.execute(
        "insert into medbot.usage (day, owner_id, service, provider, model, micro_usd) values"
        " ((now() at time zone 'utc')::date, $1, 'conversation', 'openai', 'x', 999999)",
        uuid.uuid4(),
    )
    assert (await make(await visit(served)))["limited"] == "installation"


async def test_guests_from_one_address_share_their_cap(
    start: Start, issuer: Issuer, owner: Any
) -> None:
    served = await start(**CLOUD, cost_cap_address_day_usd=0.08, allow_guest_voice=True)
    place = uuid.uuid4()
    said = []
    for _ in range(4):
        guest = uuid.uuid4()
        await owner.execute("insert into medbot.guest_places values ($1, $2, now())", guest, place)
        headers = {"authorization": f"Bearer {_guest_token(issuer, guest)}"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers) as http:
            session = (await http.post(SESSION, json={})).json()
        said.append(session["limited"])
        await talk(served, session)
        await owner.execute(
            "update medbot.spending set micro_usd = micro_usd + 10000 where owner_id = $1", place
        )
    assert said[0] is None
    assert said[-1] == "address"
    assert await owner.fetchval("select count(*) from medbot.usage where user_id is not null") == 0


def _guest_token(issuer: Issuer, guest: uuid.UUID) -> str:
    now = int(datetime.now(UTC).timestamp())
    return issuer.sign({
        "sub": str(guest), "aud": "authenticated", "role": "authenticated", "iat": now,
        "exp": now + 600, "session_id": str(uuid.uuid4()), "app_metadata": {"roles": []},
        "is_anonymous": True,
    })  # fmt: skip
