"""A reply can be made again, and rated; the older one stays."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conversing import Person, Start, Visit, text_of
from model_server import ModelServer, Pause, Refuse, Say
from pydantic import SecretStr

from kit.database import Database
from kit.testing import Served, serve

FLU = "What is flu?"


@pytest.fixture
async def model() -> AsyncIterator[tuple[ModelServer, str]]:
    """Says one thing, then another."""
    server = ModelServer([[Say("First.")], [Say("Second.")], [Say("Third.")]])
    async with serve(server.app()) as served:
        yield server, f"{served.url}/v1"


@pytest.fixture
async def writer(start: Start, visit: Visit, model: tuple[ModelServer, str]) -> Person:
    """Somebody before an instance that asks the model."""
    served: Served = await start(openai_base_url=model[1], openai_api_key=SecretStr("test"))
    return await visit(served)


async def test_the_new_reply_names_the_old_one_which_stays(
    writer: Person, model: tuple[ModelServer, str]
) -> None:
    path = await writer.start("One")
    first = (await writer.send(path, FLU)).json()
    old = first["assistant_message"]
    answer = await writer.http.post(f"{path}/messages/{old['id']}/regenerate", timeout=30)
    assert answer.status_code == 201
    new = answer.json()["assistant_message"]
    assert answer.json()["user_message"]["id"] == first["user_message"]["id"]
    assert (new["content"], new["replaces"], new["replaced_by"]) == ("Second.", old["id"], None)
    question, kept, last = await writer.messages(path)
    assert (kept["content"], kept["replaced_by"]) == ("First.", new["id"])
    assert (question["id"], last["id"]) == (first["user_message"]["id"], new["id"])
    await writer.send(path, "And now?")
    told = [message["content"] for message in model[0].requests[-1]["messages"]]
    assert "Second." in told
    assert "First." not in told


async def test_the_model_is_told_what_came_before_the_question(
    writer: Person, model: tuple[ModelServer, str]
) -> None:
    path = await writer.start("One")
    await writer.send(path, "I have a cold.")
    reply = (await writer.send(path, FLU)).json()["assistant_message"]
    events = await _stream(writer, f"{path}/messages/{reply['id']}/regenerate")
    assert events[0].event == "message"
    assert text_of(events) == events[-1].json()["message"]["content"] == "Third."
    first, again = (request["messages"] for request in model[0].requests[1:])
    assert first == again


async def test_again_and_again_with_the_same_key_is_once(writer: Person) -> None:
    path = await writer.start("One")
    reply = (await writer.send(path, FLU)).json()["assistant_message"]
    call = f"{path}/messages/{reply['id']}/regenerate"
    headers = {"idempotency-key": "again"}
    answers = [await writer.http.post(call, headers=headers, timeout=30) for _ in range(3)]
    assert len({answer.json()["assistant_message"]["id"] for answer in answers}) == 1
    other = f"{path}/messages/{answers[0].json()['assistant_message']['id']}/regenerate"
    refused = await writer.http.post(other, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency.mismatch")


async def test_only_the_reply_to_the_newest_message_can_be_made_again(alice: Person) -> None:
    path = await alice.start("One")
    first = (await alice.send(path, FLU)).json()
    second = (await alice.send(path, "What is a cold?")).json()
    for message in (first["assistant_message"], first["user_message"], second["user_message"]):
        answer = await alice.http.post(f"{path}/messages/{message['id']}/regenerate")
        assert (answer.status_code, answer.json()["code"]) == (
            409,
            "conversation.not_regenerable",
        )
    assert len(await alice.messages(path)) == 4


async def test_not_while_a_reply_runs_and_of_two_at_once_one(
    writer: Person, model: tuple[ModelServer, str]
) -> None:
    path = await writer.start("One")
    reply = (await writer.send(path, FLU)).json()["assistant_message"]
    model[0].scripts = [[Say("Slow "), Pause(0.7), Say("reply.")]]
    call = f"{path}/messages/{reply['id']}/regenerate"
    answers = await asyncio.gather(*(writer.http.post(call, timeout=30) for _ in range(3)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201, 409, 409]
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"conversation.busy"}


async def test_one_that_fails_leaves_the_older_reply_in_force(
    writer: Person, model: tuple[ModelServer, str]
) -> None:
    path = await writer.start("One")
    reply = (await writer.send(path, FLU)).json()["assistant_message"]
    model[0].scripts = [[Say("Half a "), Pause(0.1), Refuse(500)]]
    answer = await writer.http.post(f"{path}/messages/{reply['id']}/regenerate", timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (503, "conversation.reply_failed")
    _, kept, failed = await writer.messages(path)
    assert (kept["replaced_by"], failed["status"]) == (None, "failed")
    model[0].scripts = [[Say("Well.")]]
    again = await writer.http.post(f"{path}/messages/{failed['id']}/regenerate", timeout=30)
    assert again.json()["assistant_message"]["content"] == "Well."
    _, first, second, third = await writer.messages(path)
    assert first["replaced_by"] == second["replaced_by"] == third["id"]


async def test_an_emergency_is_still_one_when_it_is_answered_again(alice: Person) -> None:
    path = await alice.start("One")
    reply = (await alice.send(path, "My chest is crushing and my arm is numb")).json()
    events = await _stream(alice, f"{path}/messages/{reply['assistant_message']['id']}/regenerate")
    assert [event.event for event in events[:2]] == ["message", "triage"]
    assert events[1].json()["level"] == "emergency"


async def test_feedback_is_kept_once_and_replaced(alice: Person, database: Database) -> None:
    path = await alice.start("One")
    both = (await alice.send(path, FLU)).json()
    call = f"{path}/messages/{both['assistant_message']['id']}/feedback"
    for given in ({"rating": "down", "comment": "too long"}, {"rating": "up"}):
        assert (await alice.http.post(call, json=given)).status_code == 204
    async with database.transaction(alice.actor) as tx:
        rows = await tx.fetch("select rating, comment from public.message_feedback")
    assert [tuple(row) for row in rows] == [("up", None)]


@pytest.mark.parametrize(
    "body",
    [{}, {"rating": "meh"}, {"rating": "up", "comment": "x" * 2001}, {"rating": "up", "x": 1}],
)
async def test_feedback_that_makes_no_sense_is_refused(alice: Person, body: Any) -> None:
    path = await alice.start("One")
    both = (await alice.send(path, FLU)).json()
    call = f"{path}/messages/{both['assistant_message']['id']}/feedback"
    assert (await alice.http.post(call, json=body)).status_code == 422


async def test_only_replies_are_rated_and_only_ones_own(alice: Person, bob: Person) -> None:
    path = await alice.start("One")
    both = (await alice.send(path, FLU)).json()
    own = f"{path}/messages/{both['user_message']['id']}/feedback"
    refused = await alice.http.post(own, json={"rating": "up"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conversation.not_a_reply")
    for call in ("feedback", "regenerate"):
        path_of = f"{path}/messages/{both['assistant_message']['id']}/{call}"
        answer = await bob.http.post(path_of, json={"rating": "up"})
        assert (answer.status_code, answer.json()["code"]) == (404, "request.not_found")
    other = await alice.start("Other")
    answer = await alice.http.post(f"{other}/messages/{both['assistant_message']['id']}/regenerate")
    assert answer.status_code == 404


async def _stream(person: Person, path: str) -> list[Any]:
    async with person.stream("POST", path, headers={"accept": "text/event-stream"}) as events:
        return [event async for event in events]
