"""What is one person's is out of every other one's reach, through the gateway."""

import uuid
from contextlib import AsyncExitStack

import pytest
from conversing import Person
from installation import Installation, newcomer
from model_server import ModelServer, Pause, Say

from kit.testing import serve

pytestmark = pytest.mark.journey

ROOT = "/api/v1/conversations"
SECRET = "xylophobia"


async def test_a_second_person_reaches_nothing_of_the_first(
    with_model: Installation, model_port: int
) -> None:
    slow = ModelServer([[step for n in range(100) for step in (Say(f"w{n} "), Pause(0.05))]])
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve(slow.app(), port=model_port))
        alice = await stack.enter_async_context(newcomer(with_model.url))
        bob = await stack.enter_async_context(newcomer(with_model.url))
        conversation = await alice.start(f"My {SECRET}")
        own = await bob.start()
        begun = alice.stream(
            "POST", f"{conversation}/messages", json={"content": f"I have {SECRET}."}
        )
        events = await stack.enter_async_context(begun)
        ids = (await anext(events)).json()
        async for event in events:
            if event.event == "delta":
                break
        while_it_runs = await _attempts(bob, conversation, own, ids)
        stop = f"{conversation}/messages/{ids['assistant_message_id']}/stop"
        assert (await alice.http.post(stop)).status_code == 202
        *_, last = [event async for event in events]
        assert last.json()["message"]["status"] == "interrupted"
        when_it_has_ended = await _attempts(bob, conversation, own, ids)
        assert while_it_runs == when_it_has_ended == {(404, "request.not_found")}
        await _lists_and_searches(bob, own)
        await _is_untouched(alice, conversation, ids)


async def _attempts(
    bob: Person, conversation: str, own: str, ids: dict[str, str]
) -> set[tuple[int, str]]:
    """Everything that can be tried with another's ids; the answers that there were."""
    tried = [
        ("GET", conversation, None),
        ("PATCH", conversation, {"title": "mine"}),
        ("PATCH", conversation, {"pinned": True}),
        ("DELETE", conversation, None),
        ("GET", f"{conversation}/messages", None),
        ("POST", f"{conversation}/messages", {"content": "hello"}),
    ]
    for path in (conversation, own, f"{ROOT}/{uuid.uuid4()}"):
        for message in ids.values():
            tried.append(("GET", f"{path}/messages/{message}/stream", None))
            tried.append(("POST", f"{path}/messages/{message}/stop", None))
    answers = set()
    for method, path, body in tried:
        answer = await bob.http.request(method, path, json=body)
        answers.add((answer.status_code, answer.json()["code"]))
        assert SECRET not in answer.text
    streamed = await bob.http.post(
        f"{conversation}/messages", json={"content": "x"}, headers={"accept": "text/event-stream"}
    )
    return answers | {(streamed.status_code, streamed.json()["code"])}


async def _lists_and_searches(bob: Person, own: str) -> None:
    listed = (await bob.http.get(ROOT)).json()["items"]
    assert [item["id"] for item in listed] == [own.rpartition("/")[2]]
    for query in (SECRET, f'"{SECRET}"', f"{SECRET} or hello", "w1"):
        assert (await bob.http.get(ROOT, params={"q": query})).json()["items"] == []
    async with bob.stream("GET", "/api/v1/events", headers={"last-event-id": "0"}) as live:
        assert (await anext(live)).event == "account.registered"
    await bob.http.patch(own, json={"title": "the end"})
    async with bob.stream("GET", "/api/v1/events", headers={"last-event-id": "1"}) as live:
        event = await anext(live)
    assert (event.event, event.json()["seq"]) == ("conversation.changed", 2)


async def _is_untouched(alice: Person, conversation: str, ids: dict[str, str]) -> None:
    kept = (await alice.http.get(conversation)).json()
    assert (kept["title"], kept["pinned"]) == (f"My {SECRET}", False)
    assert {message["id"] for message in await alice.messages(conversation)} == set(ids.values())
    found = (await alice.http.get(ROOT, params={"q": SECRET})).json()["items"]
    assert [item["id"] for item in found] == [conversation.rpartition("/")[2]]
