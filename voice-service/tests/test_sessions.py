"""Sessions over HTTP: made, shown, changed, ended, each by its owner alone."""

import asyncio
import json
import uuid
from typing import Any

import pytest
from conversing import Person, Start, Visit
from pydantic import SecretStr
from speaking import SESSION, job

from kit.database import Database
from kit.identity import Actor
from kit.testing import Served
from tokens.guards import unguarded
from voice_service import main

JSON = {"content-type": "application/json"}


async def make(person: Person, **body: Any) -> dict[str, Any]:
    answer = await person.http.post(SESSION, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def configure(person: Person, made: dict[str, Any], **settings: Any) -> dict[str, Any]:
    path = f"{SESSION}/{made['session_id']}/config"
    answer = await person.http.put(path, json={"voice_settings": settings})
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def test_a_session_without_a_media_server_speaks_over_its_socket(
    alice: Person, service: Served, writing: Person
) -> None:
    made = await make(alice, metadata={"from": "kiosk"})
    assert made["status"] == "created"
    assert (made["livekit_url"], made["token"], made["room_name"]) == (None, None, None)
    assert (made["pipeline"], made["channel"]) == ("offline", "websocket")
    path = f"{SESSION}/{made['session_id']}"
    assert made["websocket_url"] == f"ws://127.0.0.1:{service.port}{path}/ws"
    shown = (await alice.http.get(path)).json()
    assert shown == {name: made[name] for name in shown}
    conversation = await writing.http.get(f"/api/v1/conversations/{made['conversation_id']}")
    assert conversation.status_code == 200


async def test_the_address_of_the_socket_is_the_one_that_the_client_came_by(alice: Person) -> None:
    headers = {"x-forwarded-host": "medbot.example", "x-forwarded-proto": "https"}
    made = (await alice.http.post(SESSION, json={}, headers=headers)).json()
    assert made["websocket_url"].startswith("wss://medbot.example/api/v1/voice/session/")


async def test_a_session_goes_on_with_a_conversation_of_ones_own(
    alice: Person, bob: Person, writing: Person
) -> None:
    conversation = (await writing.start("Knee")).rpartition("/")[2]
    made = await make(alice, conversation_id=conversation)
    assert made["conversation_id"] == conversation
    for person, wanted in ((bob, conversation), (alice, str(uuid.uuid4()))):
        answer = await person.http.post(SESSION, json={"conversation_id": wanted})
        assert (answer.status_code, answer.json()["code"]) == (404, "request.not_found")


async def test_what_the_pipeline_has_no_use_for_is_named(alice: Person) -> None:
    made = await make(
        alice,
        instructions="Be brief.",
        voice_settings={"voice_id": "f1", "temperature": 0.4, "speed": 2},
    )
    assert made["ignored"] == ["instructions", "speed", "temperature"]
    assert made["voice_settings"] == {"voice_id": "f1", "temperature": 0.4}


async def test_a_voice_that_there_is_none_of_is_named_and_not_kept(alice: Person) -> None:
    made = await make(alice, voice_settings={"voice_id": "marin", "max_output_tokens": 90})
    assert made["ignored"] == ["max_output_tokens", "voice_id"]
    assert made["voice_settings"] == {"max_output_tokens": 90}
    changed = await configure(alice, made, voice_id="en-gb")
    assert changed["ignored"] == ["max_output_tokens"]
    assert changed["voice_settings"] == {"voice_id": "en-gb", "max_output_tokens": 90}
    changed = await configure(alice, made, voice_id="marin")
    assert changed["ignored"] == ["max_output_tokens", "voice_id"]
    assert changed["voice_settings"]["voice_id"] == "en-gb"


async def test_a_speech_to_speech_model_keeps_the_voice_that_it_began_with(
    start: Start, visit: Visit
) -> None:
    service = await start(openai_api_key=SecretStr("sk-test"))
    alice = await visit(service)
    made = await make(alice, voice_settings={"voice_id": "cedar"})
    assert (made["pipeline"], made["ignored"]) == ("realtime", [])
    changed = await configure(alice, made, voice_id="marin")
    assert (changed["voice_settings"]["voice_id"], changed["ignored"]) == ("marin", [])
    async with job(service, made["session_id"]) as running:
        await running.beat()
        changed = await configure(alice, made, voice_id="cedar", max_output_tokens=90)
        assert changed["ignored"] == ["voice_id"]
        wanted = {"voice_id": "marin", "max_output_tokens": 90}
        assert changed["voice_settings"] == wanted
        told = (await running.changes("0.0", within=0)).voice_settings
        assert told is not None
        assert told.model_dump(exclude_none=True) == wanted
    assert (await configure(alice, made, voice_id="marin"))["ignored"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"voice_settings": {"temperature": 2.1}},
        {"voice_settings": {"max_output_tokens": 0}},
        {"pipeline": "telepathy"},
        {"metadata": {"x": "y" * 5000}},
        {"surprise": 1},
    ],
)
async def test_what_is_out_of_range_is_refused(alice: Person, body: dict[str, Any]) -> None:
    answer = await alice.http.post(SESSION, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


@pytest.mark.parametrize(
    "body",
    [
        b'{"voice_settings": {"a\\u0000b": 1}}',
        json.dumps({"voice_settings": {f"name{place}": 1 for place in range(51)}}).encode(),
        b'{"metadata": {"a": "\\u0000"}}',
        b'{"metadata": {"a\\u0000": 1}}',
        b'{"metadata": {"a": "\\ud800"}}',
        b'{"metadata": {"a": NaN}}',
        b'{"metadata": {"a": [1e999]}}',
        b'{"metadata": {"a": ' + b"[" * 25 + b"]" * 25 + b"}}",
        b'{"metadata": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}",
    ],
)
async def test_what_cannot_be_kept_is_refused_and_makes_no_conversation(
    alice: Person, writing: Person, body: bytes
) -> None:
    answer = await alice.http.post(SESSION, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert (await writing.http.get("/api/v1/conversations")).json()["items"] == []


@pytest.mark.parametrize(
    ("asked", "locale"),
    [
        ("en-US,en;q=0.9", "en-US"),
        ("de-CH", "de-CH"),
        ("*", "en-GB"),
        ("", "en-GB"),
        ("x" * 36, "en-GB"),
        ("en_US'; --", "en-GB"),
    ],
)
async def test_a_call_names_the_emergency_numbers_of_where_its_caller_is(
    alice: Person, service: Served, asked: str, locale: str
) -> None:
    made = await alice.http.post(SESSION, json={}, headers={"accept-language": asked})
    async with job(service, made.json()["session_id"]) as running:
        assert (await running.plan()).locale == locale


async def test_metadata_is_given_back_as_it_came(alice: Person) -> None:
    metadata = {"a": ["\\u0000", 1.5, None, True, {"é": "x"}]}
    made = await make(alice, metadata=metadata)
    assert made["metadata"] == metadata


@pytest.mark.parametrize(
    "body", [{"pipeline": "realtime"}, {"pipeline": "cascade"}, {"avatar": True}]
)
async def test_what_is_not_configured_is_unavailable(alice: Person, body: dict[str, Any]) -> None:
    answer = await alice.http.post(SESSION, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "voice.unavailable")


async def test_a_person_has_so_many_sessions_and_no_more(
    alice: Person, bob: Person, start: Start, visit: Visit
) -> None:
    several = [make(alice) for _ in range(5)]
    first = (await asyncio.gather(*several))[0]
    refused = await alice.http.post(SESSION, json={})
    assert (refused.status_code, refused.json()["code"]) == (429, "voice.too_many_sessions")
    assert int(refused.headers["retry-after"]) > 0
    await make(bob)
    assert (await alice.http.delete(f"{SESSION}/{first['session_id']}")).status_code == 204
    await make(alice)


async def test_a_request_that_is_sent_again_needs_no_room(alice: Person) -> None:
    key = {"Idempotency-Key": "once"}
    first = await alice.http.post(SESSION, json={}, headers=key)
    for _ in range(4):
        await make(alice)
    again = await alice.http.post(SESSION, json={}, headers=key)
    assert (again.status_code, again.json().get("session_id")) == (201, first.json()["session_id"])


async def test_two_requests_at_once_do_not_slip_by_the_cap(alice: Person) -> None:
    answers = await asyncio.gather(*(alice.http.post(SESSION, json={}) for _ in range(9)))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [429] * 4


async def test_a_session_that_nobody_came_to_makes_room_for_another(
    alice: Person, database: Database
) -> None:
    made = [(await make(alice))["session_id"] for _ in range(5)]
    async with database.transaction(Actor.of_service("voice")) as tx:
        await tx.execute(
            "update public.voice_sessions set created_at = created_at - interval '2 minutes'"
            " where id = any($1::uuid[])",
            made[1:3],
        )
    newer = (await make(alice))["session_id"]
    items = (await alice.http.get("/api/v1/voice/sessions")).json()["items"]
    running = {item["session_id"] for item in items if item["status"] == "created"}
    assert running == {made[0], made[2], made[3], made[4], newer}


async def test_the_same_key_makes_one_session(alice: Person, bob: Person) -> None:
    headers = {"idempotency-key": "one"}
    ids = set()
    for _ in range(7):
        answer = await alice.http.post(SESSION, json={}, headers=headers)
        assert answer.status_code == 201, answer.text
        ids.add((answer.json()["session_id"], answer.json()["conversation_id"]))
    assert len(ids) == 1
    other = await alice.http.post(SESSION, json={"metadata": {"a": 1}}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency.mismatch")
    assert (await bob.http.post(SESSION, json={}, headers=headers)).status_code == 201


async def test_sessions_are_listed_newest_first(alice: Person, bob: Person) -> None:
    made = [(await make(alice))["session_id"] for _ in range(3)]
    await make(bob)
    page = (await alice.http.get("/api/v1/voice/sessions", params={"limit": 2})).json()
    rest = await alice.http.get(
        "/api/v1/voice/sessions", params={"limit": 2, "cursor": page["next_cursor"]}
    )
    items = [*page["items"], *rest.json()["items"]]
    assert [item["session_id"] for item in items] == made[::-1]
    assert rest.json()["next_cursor"] is None
    assert "token" not in items[0]


async def test_a_session_ends_once_and_its_row_stays(alice: Person) -> None:
    path = f"{SESSION}/{(await make(alice))['session_id']}"
    for _ in range(2):
        assert (await alice.http.delete(path)).status_code == 204
    shown = (await alice.http.get(path)).json()
    assert (shown["status"], shown["end_reason"]) == ("ended", "asked")
    refused = await alice.http.put(f"{path}/config", json={"instructions": "x"})
    assert (refused.status_code, refused.json()["code"]) == (409, "voice.session_over")


async def test_the_short_forms_do_the_same(alice: Person) -> None:
    made = await alice.http.post("/session")
    assert made.status_code == 201
    assert (await alice.http.delete(f"/session/{made.json()['session_id']}")).status_code == 204
    token = await alice.http.get("/token", params={"room": "kitchen", "identity": "alice"})
    assert (token.status_code, token.json()["code"]) == (503, "voice.no_media_server")


async def test_status_tells_how_a_session_is(alice: Person, service: Served) -> None:
    made = await make(alice)
    path = f"{SESSION}/{made['session_id']}/status"
    before = (await alice.http.get(path)).json()
    assert before == {
        "status": "created", "agent_state": None, "participants": 0, "duration_s": 0.0,
        "turns": 0, "latency": {"p50_ms": None, "p95_ms": None},
    }  # fmt: skip
    async with job(service, made["session_id"]) as running:
        assert (await running.beat("initializing")).status_code == 204
        assert (await alice.http.get(path)).json()["status"] == "connecting"
        assert (await running.beat("speaking", participants=2)).status_code == 204
        for ms in (100, 200, 300):
            await running.say("user", "Hello")
            await running.say("assistant", "Good day", latency={"first_audio_ms": ms})
        now = (await alice.http.get(path)).json()
        assert (now["status"], now["agent_state"], now["participants"]) == ("active", "speaking", 2)
        assert now["turns"] == 6
        assert now["latency"] == {"p50_ms": 200.0, "p95_ms": 290.0}
        assert now["duration_s"] > 0
        await running.beat("speaking", ended="caller_left")
    after = (await alice.http.get(path)).json()
    assert (after["status"], after["agent_state"], after["participants"]) == ("ended", None, 0)


async def test_a_second_person_can_do_nothing_with_the_first_ones_session(
    alice: Person, bob: Person
) -> None:
    path = f"{SESSION}/{(await make(alice))['session_id']}"
    for method, target, body in (
        ("GET", path, None),
        ("GET", f"{path}/status", None),
        ("PUT", f"{path}/config", {"instructions": "x"}),
        ("DELETE", path, None),
        ("DELETE", path.removeprefix("/api/v1/voice"), None),
    ):
        answer = await bob.http.request(method, target, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "request.not_found"), target
    assert (await alice.http.get(path)).json()["status"] == "created"


def test_every_route_is_guarded_or_open_on_purpose() -> None:
    assert list(unguarded(main.build())) == []


async def test_what_fell_back_in_a_worker_is_counted_here(alice: Person, service: Served) -> None:
    made = await make(alice)
    async with job(service, made["session_id"], "worker-1") as running:
        for times in (2, 1):
            fell = [{"part": "openai-ear", "reason": "too slow", "times": times}]
            assert (await running.beat(fallbacks=fell)).status_code == 204
        await running.beat(fallbacks=[{"part": "I have", "reason": "quixitis", "times": 4}])
        fell = [{"part": "openai-ear", "reason": "too slow", "times": 5}]
        async with job(service, made["session_id"], "worker-2") as other:
            assert (await other.beat(fallbacks=fell)).status_code == 409
    shown = (await alice.http.get("/metrics")).text
    assert 'medbot_fallbacks_total{part="openai-ear",reason="too slow"} 3.0' in shown
    assert 'medbot_fallbacks_total{part="other",reason="other"} 4.0' in shown
