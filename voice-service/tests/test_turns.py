"""Turns are recorded once and in order, read by the conversation, and followed live."""

import asyncio
import json
import uuid
from typing import Any

import pytest
from conversing import Person, Start
from speaking import SESSION, job
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from contracts.voice import SpokenTurn
from kit.database import Database, utc_now
from kit.identity import Actor
from kit.testing import Issuer, Served

ITSELF = Actor.of_service("voice")


async def make(person: Person, **body: Any) -> str:
    answer = await person.http.post(SESSION, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["session_id"])


def transcript_url(served: Served, session_id: str, query: str = "") -> str:
    return f"ws://127.0.0.1:{served.port}/ws/transcript/{session_id}{query}"


async def test_a_turn_is_stored_once(alice: Person, service: Served, database: Database) -> None:
    session = await make(alice)
    async with job(service, session) as running:
        for _ in range(3):
            assert (await running.say("user", "My knee hurts.", 1)).status_code == 204
        other = await running.say("user", "My hand hurts.", 1)
        assert (other.status_code, other.json()["code"]) == (409, "voice.turn_differs")
    async with database.transaction(ITSELF) as tx:
        turns = await tx.fetch("select text from medbot.voice_turns")
    assert [turn["text"] for turn in turns] == ["My knee hurts."]


async def test_a_turn_waits_for_the_one_before_it(alice: Person, service: Served) -> None:
    async with job(service, await make(alice)) as running:
        early = await running.say("user", "second", 2)
        assert (early.status_code, early.json()["code"]) == (409, "voice.turn_out_of_order")
        assert (await running.say("user", "first", 1)).status_code == 204
        assert (await running.say("assistant", "second", 2)).status_code == 204


async def test_turns_at_once_from_several_connections_leave_no_gap_and_no_double(
    alice: Person, service: Served, database: Database
) -> None:
    session = await make(alice)
    async with job(service, session) as running:

        async def insist(seq: int) -> None:
            while not (await running.say("user", f"turn {seq}", seq)).is_success:
                await asyncio.sleep(0.01)

        await asyncio.gather(*(insist(seq) for seq in [*range(1, 21), *range(1, 21)]))
    async with database.transaction(ITSELF) as tx:
        rows = await tx.fetch("select seq, text from medbot.voice_turns order by seq")
    assert [(row["seq"], row["text"]) for row in rows] == [(n, f"turn {n}") for n in range(1, 21)]


async def test_the_last_turns_of_a_session_that_ended_are_still_taken(
    alice: Person, service: Served, database: Database
) -> None:
    session = await make(alice)
    async with job(service, session) as running:
        await running.beat()
        assert (await running.say("user", "Goodbye")).status_code == 204
        assert (await alice.http.delete(f"{SESSION}/{session}")).status_code == 204
        assert (await running.say("assistant", "Take care")).status_code == 204
        assert (await running.beat()).json()["code"] == "voice.session_over"
        async with database.transaction(ITSELF) as tx:
            await tx.execute(
                "update public.voice_sessions set ended_at = ended_at - interval '1 hour'"
            )
        late = await running.say("assistant", "Are you there?")
        assert (late.status_code, late.json()["code"]) == (409, "voice.session_over")
        again = await running.say("assistant", "Take care", 2)
        assert again.status_code == 204


@pytest.mark.parametrize(
    "change",
    [{"text": ""}, {"text": "x" * 8001}, {"role": "system"}, {"seq": 0}, {"started_at": "noon"}],
)
async def test_a_turn_that_is_none_is_refused(
    alice: Person, service: Served, change: dict[str, Any]
) -> None:
    now = utc_now().isoformat()
    turn = {"seq": 1, "role": "user", "text": "Hi", "started_at": now, "ended_at": now, **change}
    async with job(service, await make(alice)) as running:
        answer = await running.call("PUT", "/turns/1", json=turn)
        assert answer.status_code == 422, answer.text


async def test_a_number_beyond_all_turns_is_refused(alice: Person, service: Served) -> None:
    session = await make(alice)
    most = 2**53
    async with job(service, session) as running:
        for after, status in ((most, 200), (most + 1, 422), (2**63, 422)):
            answer = await running.call("GET", "/turns", params={"after": after})
            assert answer.status_code == status, answer.text
        for beyond in (most + 1, 2**63):
            assert await running.changes(f"0.0.{beyond}", 0) == await running.changes("", 0)
    url = transcript_url(service, session, f"?after={2**63}")
    with pytest.raises(InvalidStatus):
        await connect(url, additional_headers=alice.http.headers, proxy=None)


async def test_only_services_record(alice: Person, service: Served, issuer: Issuer) -> None:
    session = await make(alice)
    for method, path in (
        ("GET", ""),
        ("GET", "/turns"),
        ("GET", "/changes"),
        ("PUT", "/heartbeat"),
    ):
        target = f"/internal/sessions/{session}{path}"
        answer = await alice.http.request(method, target, json={"agent_state": "listening"})
        assert (answer.status_code, answer.json()["code"]) == (401, "auth.invalid_token")
    async with job(service, uuid.uuid4()) as nowhere:
        assert (await nowhere.say("user", "Hello")).status_code == 404
        assert (await nowhere.beat()).status_code == 404


async def test_a_plan_has_what_was_said_and_written_before(
    alice: Person, service: Served, writing: Person
) -> None:
    path = await writing.start()
    await writing.send(path, "What is flu?")
    conversation = path.rpartition("/")[2]
    first = await make(alice, conversation_id=conversation, instructions="Be brief.")
    async with job(service, first) as running:
        plan = await running.plan()
        assert [message.role for message in plan.history] == ["user", "assistant"]
        assert (plan.greeted, plan.next_seq, plan.instructions) == (False, 1, "Be brief.")
        await running.say("assistant", "Hello.")
        await running.say("user", "And a cold?")
        assert (await running.plan()).next_seq == 3
    second = await make(alice, conversation_id=conversation)
    async with job(service, second) as running:
        plan = await running.plan()
    said = [(message.channel, message.content) for message in plan.history[2:]]
    assert said == [("websocket", "Hello."), ("websocket", "And a cold?")]
    assert plan.greeted is True
    assert [message.seq for message in plan.history] == [1, 2, 3, 4]


async def test_a_change_reaches_a_running_session_at_once(alice: Person, service: Served) -> None:
    session = await make(alice, voice_settings={"voice_id": "f1"})
    async with job(service, session) as running:
        cursor = (await running.plan()).cursor
        nothing = await running.changes(cursor, within=0)
        assert nothing.model_dump(exclude={"cursor"}, exclude_defaults=True) == {}
        waiting = asyncio.create_task(running.changes(nothing.cursor, within=20))
        await asyncio.sleep(0.2)
        body = {"instructions": "Speak slowly.", "voice_settings": {"temperature": 0.5}}
        answer = await alice.http.put(f"{SESSION}/{session}/config", json=body)
        assert answer.status_code == 200
        assert answer.json()["ignored"] == ["instructions", "temperature"]
        async with asyncio.timeout(2):
            told = await waiting
        assert told.instructions == "Speak slowly."
        assert told.voice_settings is not None
        assert told.voice_settings.model_dump(exclude_none=True) == {
            "voice_id": "f1",
            "temperature": 0.5,
        }
        waiting = asyncio.create_task(running.changes(told.cursor, within=20))
        await asyncio.sleep(0.2)
        await alice.http.delete(f"{SESSION}/{session}")
        async with asyncio.timeout(2):
            assert (await waiting).end == "asked"


async def test_what_is_written_during_a_call_reaches_it_and_what_it_said_does_not(
    alice: Person, service: Served, writing: Person
) -> None:
    path = await writing.start()
    session = await make(alice, conversation_id=path.rpartition("/")[2])
    async with job(service, session) as running:
        cursor = (await running.plan()).cursor
        await running.say("user", "Can you hear me?")
        await asyncio.sleep(0.5)
        waiting = asyncio.create_task(running.changes(cursor, within=20))
        await writing.send(path, "What is flu?")
        heard: list[tuple[str, str]] = []
        async with asyncio.timeout(10):
            while len(heard) < 2:
                told = await waiting
                heard += [(message.role, message.channel) for message in told.messages]
                waiting = asyncio.create_task(running.changes(told.cursor, within=20))
        waiting.cancel()
    assert heard == [("user", "chat"), ("assistant", "chat")]


async def test_a_transcript_is_told_from_the_first_turn_and_live(
    alice: Person, service: Served, issuer: Issuer
) -> None:
    session = await make(alice)
    token = issuer.token(alice.actor)
    headers = {"authorization": f"Bearer {token}"}
    async with job(service, session) as running:
        await running.say("assistant", "Hello.")
        async with connect(transcript_url(service, session), additional_headers=headers) as socket:
            assert json.loads(await socket.recv()) == {
                "seq": 1, "role": "assistant", "text": "Hello.", "final": True,
            }  # fmt: skip
            await running.say("user", "Hi.")
            async with asyncio.timeout(2):
                assert json.loads(await socket.recv())["seq"] == 2
            await running.beat(ended="caller_left")
            with pytest.raises(ConnectionClosed):
                async with asyncio.timeout(5):
                    await socket.recv()
            assert socket.close_code == 1000
    async with connect(transcript_url(service, session, f"?after=1&token={token}")) as socket:
        assert json.loads(await socket.recv())["seq"] == 2


async def test_whoever_follows_a_transcript_waits_while_a_turn_is_spoken(
    alice: Person, service: Served, issuer: Issuer, database: Database
) -> None:
    session = await make(alice)
    url = transcript_url(service, session, f"?token={issuer.token(alice.actor)}")

    async def transactions() -> int:
        async with database.transaction(ITSELF) as tx:
            done: int = await tx.fetchval(
                "select xact_commit from pg_stat_database where datname = current_database()"
            )
        return done

    async with job(service, session) as running:
        await running.beat()
        await running.say("user", "Hello.")
        async with connect(url) as socket:
            assert json.loads(await socket.recv())["seq"] == 1
            assert (await running.say("assistant", "Let me see", 2, open=True)).is_success
            await asyncio.sleep(1.5)  # counts are told once a second
            before = await transactions()
            await asyncio.sleep(2.5)
            assert await transactions() - before < 100
            assert (await running.say("assistant", "Let me see now.", 2)).is_success
            assert json.loads(await socket.recv())["text"] == "Let me see now."


async def test_a_transcript_is_for_the_caller_alone(
    alice: Person, bob: Person, service: Served, issuer: Issuer
) -> None:
    session = await make(alice)
    alices, bobs = issuer.token(alice.actor), issuer.token(bob.actor)
    for wanted, token, code in (
        (session, bobs, 4404),
        ("no-session", alices, 4404),
        (session, "nonsense", 4401),
        (session, "", 4401),
    ):
        query = f"?token={token}" if token else ""
        async with connect(transcript_url(service, wanted, query)) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == code
    subprotocols: Any = ["bearer", issuer.token(alice.actor)]
    async with connect(transcript_url(service, session), subprotocols=subprotocols) as socket:
        assert socket.subprotocol == "bearer"


async def test_a_session_without_a_sign_of_life_has_failed_and_one_with_it_has_not(
    start: Start, visit: Any
) -> None:
    served = await start(voice_lost_seconds=1.0)
    alice = await visit(served)
    lost, alive = await make(alice), await make(alice)
    async with job(served, lost) as gone, job(served, alive) as going:
        await gone.beat()
        for _ in range(12):
            await going.beat()
            await asyncio.sleep(0.3)
    shown = [(await alice.http.get(f"{SESSION}/{one}")).json() for one in (lost, alive)]
    assert [one["status"] for one in shown] == ["failed", "active"]
    assert shown[0]["end_reason"] == "failed"


async def test_the_longest_duration_ends_a_session_that_does_not_end_itself(
    start: Start, visit: Any, database: Database
) -> None:
    served = await start(voice_max_seconds=60)
    alice = await visit(served)
    session = await make(alice)
    async with job(served, session) as running:
        plan = await running.plan()
        assert 0 < (plan.ends_at - utc_now()).total_seconds() <= 60
        await running.beat()
        async with database.transaction(ITSELF) as tx:
            await tx.execute(
                "update public.voice_sessions set ends_at = ends_at - interval '90 seconds'"
            )
        async with asyncio.timeout(5):
            while (await running.changes("", within=0)).end != "too_long":
                await running.beat()
                await asyncio.sleep(0.1)


async def test_who_never_comes_gives_the_place_free(start: Start, visit: Any) -> None:
    alice = await visit(await start(voice_join_seconds=1, voice_sessions_per_person=1))
    session = await make(alice)
    async with asyncio.timeout(6):
        while (await alice.http.get(f"{SESSION}/{session}")).json()["status"] != "ended":
            await asyncio.sleep(0.1)
    await make(alice)


def test_a_turn_of_the_wire_keeps_its_words() -> None:
    now = utc_now()
    turn = SpokenTurn(seq=1, role="user", text="é" * 8000, started_at=now, ended_at=now)
    assert SpokenTurn.model_validate_json(turn.model_dump_json()) == turn
