"""A person's whole first session, through the gateway alone, answered from the library."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from conversing import Person, text_of
from installation import PASSWORD, Installation, fresh_email, newcomer, visitor

pytestmark = pytest.mark.journey

ROOT = "/api/v1/conversations"
QUESTION = "I have had a headache for three days. What can I do?"


async def _events(person: Person, count: int, **headers: str) -> list[Any]:
    seen: list[Any] = []
    async with asyncio.timeout(20), person.stream("GET", "/api/v1/events", headers=headers) as live:
        async for event in live:
            seen.append(event)
            if len(seen) == count:
                break
    return seen


async def test_from_registering_to_signing_out(library_mode: Installation) -> None:
    async with visitor(library_mode.url) as http:
        email = fresh_email()
        person = await _register_and_sign_in(http, email)
        await _fill_in_the_profile(http)
        (welcome,) = await _events(person, 1, **{"last-event-id": "0"})
        assert welcome.event == "account.registered"
        conversation = await person.start("My head")
        live = asyncio.create_task(_events(person, 2))
        await asyncio.sleep(0.3)
        reply = await _ask(person, conversation)
        await _find_it_again(http, conversation, reply)
        await _resume(person, conversation, reply)
        heard = await live
        assert [event.event for event in heard] == ["message.created"] * 2
        assert heard[1].json()["ref"]["message_id"] == reply["id"]
        missed = await _events(person, 2, **{"last-event-id": welcome.id})
        assert [event.id for event in missed] == [event.id for event in heard]
        await _sign_out(library_mode, http)
        again = await http.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
        http.headers["authorization"] = f"Bearer {again.json()['session']['access_token']}"
        assert len(await person.messages(conversation)) == 2


async def _register_and_sign_in(http: httpx.AsyncClient, email: str) -> Person:
    sent = {"email": email, "password": PASSWORD}
    made = await http.post("/api/v1/auth/register", json={**sent, "full_name": "Ada Example"})
    assert made.status_code == 201
    twice = await http.post("/api/v1/auth/register", json=sent)
    assert (twice.status_code, twice.json()["code"]) == (409, "auth.email_taken")
    wrong = await http.post("/api/v1/auth/login", json={**sent, "password": "not this one"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "auth.bad_credentials")
    opened = await http.post("/api/v1/auth/login", json=sent)
    assert opened.status_code == 200
    http.headers["authorization"] = f"Bearer {opened.json()['session']['access_token']}"
    me = await http.get("/api/v1/auth/me")
    assert me.json() == opened.json()["user"] == made.json()["user"]
    valid = (await http.get("/api/v1/auth/validate")).json()
    assert valid["valid"] is True
    assert valid["user"] == {name: me.json()[name] for name in ("id", "email", "roles")}
    return Person(None, http)  # type: ignore[arg-type] # nothing here needs the actor


async def _fill_in_the_profile(http: httpx.AsyncClient) -> None:
    wanted = {"phone": "+442079460018", "locale": "en-gb", "time_zone": "Europe/London"}
    changed = await http.put("/api/v1/profile", json=wanted)
    assert changed.status_code == 200, changed.text
    profile = (await http.get("/api/v1/profile")).json()
    assert profile == changed.json()
    assert (profile["full_name"], profile["locale"]) == ("Ada Example", "en-GB")


async def _ask(person: Person, conversation: str) -> dict[str, Any]:
    events = await person.ask(conversation, QUESTION)
    assert events[0].event == "message"
    done: dict[str, Any] = events[-1].json()["message"]
    assert (events[-1].event, done["status"]) == ("done", "complete")
    assert done["content"] == text_of(events)
    citations = [event.json() for event in events if event.event == "citation"]
    assert done["citations"] == citations
    assert "[1]" in done["content"]
    assert "headache" in {citation["document_id"] for citation in citations}
    for citation in citations:
        document = await person.http.get(f"/api/v1/library/documents/{citation['document_id']}")
        assert citation["passage"] in document.json()["body"]
        assert citation["url"].startswith("https://")
    return done


async def _find_it_again(http: httpx.AsyncClient, conversation: str, reply: dict[str, Any]) -> None:
    listed = (await http.get(ROOT)).json()["items"]
    assert [item["title"] for item in listed] == ["My head"]
    found = (await http.get(ROOT, params={"q": "headache"})).json()["items"]
    assert [item["id"] for item in found] == [conversation.rpartition("/")[2]]
    assert any("<mark>" in match["snippet"] for match in found[0]["matches"])
    assert (await http.get(ROOT, params={"q": "bicycle"})).json()["items"] == []
    messages = (await http.get(f"{conversation}/messages")).json()["items"]
    assert [message["content"] for message in messages] == [QUESTION, reply["content"]]


async def _resume(person: Person, conversation: str, reply: dict[str, Any]) -> None:
    whole = reply["content"]
    for after in {0, 1, len(whole) // 3, len(whole) - 1, len(whole)}:
        stream = f"{conversation}/messages/{reply['id']}/stream"
        async with person.stream("GET", stream, params={"after": after}) as events:
            rest = [event async for event in events]
        said = "".join(event.json()["text"] for event in rest if event.event == "delta")
        assert whole[:after] + said == whole
        assert rest[-1].json()["message"] == reply


async def _sign_out(house: Installation, http: httpx.AsyncClient) -> None:
    """Every door knows the token before, and none five seconds after."""
    doors = {
        f"{house.url}/api/v1/auth/me",
        f"{house.url}{ROOT}",
        f"{house.url_of('auth')}/api/v1/auth/me",
        f"{house.url_of('conversation')}{ROOT}",
    }
    for door in doors:
        assert (await http.get(door)).status_code == 200, door
    assert (await http.post("/api/v1/auth/logout")).status_code == 204
    until = time.monotonic() + 5
    while doors:
        answers = {door: await http.get(door) for door in doors}
        for answer in answers.values():
            if answer.status_code != 200:
                assert answer.json()["code"] == "auth.invalid_token"
        doors = {door for door, answer in answers.items() if answer.status_code == 200}
        assert not doors or time.monotonic() < until, doors
        await asyncio.sleep(0.1)


async def test_an_open_live_stream_ends_with_its_session(library_mode: Installation) -> None:
    async with newcomer(library_mode.url) as person:

        async def follow() -> None:
            async with person.stream("GET", "/api/v1/events") as live:
                async for event in live:
                    assert event.event == "account.registered"

        following = asyncio.create_task(follow())
        await asyncio.sleep(0.3)
        assert (await person.http.post("/api/v1/auth/logout")).status_code == 204
        async with asyncio.timeout(6):
            await following
