"""A person asks, and reads a cited answer: as a stream, whole, resumed, stopped, twice by a key."""

import asyncio
import json
import uuid

from conversing import Person, Start, Visit, text_of

from kit.testing import Served

QUESTION = "What helps with a headache that has lasted three days?"


async def test_a_stream_tells_its_ids_then_cites_then_speaks_then_is_done(alice: Person) -> None:
    path = await alice.start()
    events = await alice.ask(path, QUESTION)
    names = [event.event for event in events]
    assert names[0] == "message"
    assert names[-1] == "done"
    done = events[-1].json()["message"]
    assert done["content"] == text_of(events)
    assert done["status"] == "complete"
    assert done["id"] == events[0].json()["assistant_message_id"]
    seen: set[int] = set()
    for event in events:
        if event.event == "citation":
            seen.add(event.json()["marker"])
        if event.event == "delta":
            used = {n for n in range(1, 20) if f"[{n}]" in event.json()["text"]}
            assert used <= seen, "a citation comes before the first use of its marker"
    assert seen
    assert done["citations"] == [e.json() for e in events if e.event == "citation"]


async def test_without_a_stream_the_answer_holds_both_messages(alice: Person) -> None:
    path = await alice.start()
    answer = await alice.send(path, QUESTION)
    assert answer.status_code == 201
    both = answer.json()
    assert both["user_message"]["content"] == QUESTION
    assert both["assistant_message"]["status"] == "complete"
    assert "[1]" in both["assistant_message"]["content"]
    assert both["assistant_message"]["latency"]["total_ms"] > 0
    assert [m["id"] for m in await alice.messages(path)] == [
        both["user_message"]["id"],
        both["assistant_message"]["id"],
    ]


async def test_an_emergency_is_told_before_anything_else(alice: Person) -> None:
    path = await alice.start()
    events = await alice.ask(path, "I have crushing chest pain and my left arm is numb")
    assert [event.event for event in events[:2]] == ["message", "triage"]
    triage = events[1].json()
    assert triage["level"] == "emergency"
    assert "999" in triage["message"]
    assert triage["message"] not in events[-1].json()["message"]["content"]
    assert (await alice.messages(path))[0]["triage"]["level"] == "emergency"


async def test_after_an_emergency_the_library_gives_danger_signs_alone(alice: Person) -> None:
    reply = (
        await alice.send(await alice.start(), "I took 30 paracetamol tablets an hour ago")
    ).json()
    assert reply["user_message"]["triage"]["level"] == "emergency"
    assert "tablets up to four times" not in reply["assistant_message"]["content"]
    assert "mg" not in reply["assistant_message"]["content"]


async def test_after_a_crisis_nobody_is_sent_away(alice: Person) -> None:
    reply = (await alice.send(await alice.start(), "I want to end my life")).json()
    assert reply["user_message"]["triage"]["level"] == "crisis"
    said = reply["assistant_message"]["content"]
    assert "safe right now" in said
    assert "library" not in said


async def test_the_number_to_call_is_that_of_the_reader(alice: Person) -> None:
    path = await alice.start()
    events = await alice.ask(
        path, "I have crushing chest pain", **{"accept-language": "en-US,en;q=0.8"}
    )
    assert "911" in events[1].json()["message"]


async def test_a_finished_reply_resumes_from_any_character(
    alice: Person, start: Start, visit: Visit
) -> None:
    path = await alice.start()
    events = await alice.ask(path, QUESTION)
    whole, ids = text_of(events), events[0].json()
    elsewhere = await visit(await start(), alice.actor)
    for person in (alice, elsewhere):
        for after in range(0, len(whole) + 1, 7):
            stream = f"{path}/messages/{ids['assistant_message_id']}/stream"
            async with person.stream("GET", stream, params={"after": after}) as again:
                rest = [event async for event in again]
            said = "".join(e.json()["text"] for e in rest if e.event == "delta")
            assert whole[:after] + said == whole
            assert rest[0].json() == ids
            assert [e.json() for e in rest if e.event == "citation"] == (
                rest[-1].json()["message"]["citations"]
            )


async def test_beyond_the_end_of_a_finished_reply_is_refused(alice: Person) -> None:
    path = await alice.start()
    reply = (await alice.send(path, QUESTION)).json()["assistant_message"]
    stream = f"{path}/messages/{reply['id']}/stream"
    beyond = await alice.http.get(stream, params={"after": len(reply["content"]) + 1})
    assert beyond.status_code == 422
    at_the_end = await alice.http.get(stream, params={"after": len(reply["content"])})
    assert at_the_end.status_code == 200


async def test_the_same_key_gives_the_same_reply_and_stores_nothing_more(alice: Person) -> None:
    path = await alice.start()
    key = {"idempotency-key": "one-intention"}
    first = await alice.ask(path, QUESTION, **key)
    again = await alice.ask(path, QUESTION, **key)
    assert text_of(first) == text_of(again)
    assert first[0].json() == again[0].json()
    whole = await alice.send(path, QUESTION, **key)
    assert whole.json()["assistant_message"]["content"] == text_of(first)
    assert len(await alice.messages(path)) == 2


async def test_the_same_key_with_other_words_is_refused(alice: Person) -> None:
    path = await alice.start()
    key = {"idempotency-key": "one-intention"}
    await alice.send(path, QUESTION, **key)
    other = await alice.send(path, "What is flu?", **key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency.mismatch")
    assert len(await alice.messages(path)) == 2


async def test_twenty_sends_with_one_key_at_once_make_one_exchange(alice: Person) -> None:
    path = await alice.start()
    answers = await asyncio.gather(
        *(alice.send(path, QUESTION, **{"idempotency-key": "tapped"}) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["assistant_message"]["id"] for answer in answers}) == 1
    assert len(await alice.messages(path)) == 2


async def test_words_that_cannot_be_stored_are_refused(alice: Person) -> None:
    path = await alice.start()
    for content in ("", "x" * 8001, "a\0b", "\ud800"):
        answer = await alice.http.post(
            f"{path}/messages",
            headers={"content-type": "application/json"},
            content=json.dumps({"content": content}),
        )
        assert answer.status_code == 422, content[:5]
        assert answer.json()["code"] == "request.invalid"
    assert await alice.messages(path) == []


async def test_a_reply_of_nobody_is_not_found(alice: Person, service: Served) -> None:
    path = await alice.start()
    assert (await alice.send(f"/api/v1/conversations/{uuid.uuid4()}", "Hi")).status_code == 404
    missing = f"{path}/messages/{uuid.uuid4()}"
    assert (await alice.http.get(f"{missing}/stream")).status_code == 404
    assert (await alice.http.post(f"{missing}/stop")).status_code == 404


async def test_what_was_said_is_known_in_the_next_turn(alice: Person) -> None:
    path = await alice.start()
    await alice.send(path, "What is a migraine?")
    answer = (await alice.send(path, "How long does it last?")).json()["assistant_message"]
    assert {c["document_id"] for c in answer["citations"]} == {"migraine"}


async def test_where_there_is_no_room_for_a_reply_nothing_is_stored(
    start: Start, visit: Visit
) -> None:
    person = await visit(await start(service_streams=1))
    path = await person.start()
    async with person.stream("GET", "/api/v1/events"):
        refused = await person.send(path, "What is asthma?")
        assert (refused.status_code, refused.json()["code"]) == (503, "service.overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert await person.messages(path) == []
    async with asyncio.timeout(5):
        while (answer := await person.send(path, "What is asthma?")).status_code == 503:
            await asyncio.sleep(0.05)
    assert answer.status_code == 201
    assert len(await person.messages(path)) == 2
