"""Turns that are not over: recorded while they are spoken, messages once they are."""

import asyncio
from typing import Any

import pytest
from conversing import Person, Start, Visit
from speaking import SESSION, Job, job

from kit.database import Database
from kit.identity import Actor
from kit.testing import Served

ITSELF = Actor.of_service("voice")


async def make(person: Person, **body: Any) -> dict[str, Any]:
    answer = await person.http.post(SESSION, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def path_of(made: dict[str, Any]) -> str:
    return f"/api/v1/conversations/{made['conversation_id']}"


async def contents(person: Person, made: dict[str, Any], count: int) -> list[tuple[str, str, str]]:
    """The messages, once there are so many: role, words, status."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(15):
        while len(found) < count:
            await asyncio.sleep(0.05)
            found = await person.messages(path_of(made))
    return [(one["role"], one["content"], one["status"]) for one in found]


async def half_said(running: Job, person: Person, made: dict[str, Any]) -> None:
    """A question, and the beginning of its answer."""
    await running.beat()
    await running.say("user", "Is flu catching?")
    for words in ("Yes,", "Yes, it is", "Yes, it is very"):
        said = await running.say("assistant", words, 2, open=True)
        assert said.status_code == 204, said.text
    assert await contents(person, made, 1) == [("user", "Is flu catching?", "complete")]


async def test_a_turn_is_a_message_once_it_is_over(
    alice: Person, service: Served, writing: Person
) -> None:
    made = await make(alice)
    async with job(service, made["session_id"]) as running:
        await half_said(running, writing, made)
        assert (await running.say("assistant", "Yes, it is very catching.", 2)).is_success
        late = await running.say("assistant", "Yes, it is very", 2, open=True)
        assert late.status_code == 204
        differs = await running.say("assistant", "No.", 2)
        assert (differs.status_code, differs.json()["code"]) == (409, "voice.turn_differs")
        other = await running.say("user", "Yes, it is very catching.", 2, open=True)
        assert (other.status_code, other.json()["code"]) == (409, "voice.turn_differs")
    found = await contents(writing, made, 2)
    assert found[1:] == [("assistant", "Yes, it is very catching.", "complete")]


async def test_a_turn_that_is_over_waits_for_one_before_it_that_is_not(
    alice: Person, service: Served, writing: Person
) -> None:
    made = await make(alice)
    async with job(service, made["session_id"]) as running:
        await half_said(running, writing, made)
        assert (await running.say("user", "Stop.", 3)).is_success
        await asyncio.sleep(0.5)
        assert len(await writing.messages(path_of(made))) == 1
        assert (await running.say("assistant", "Yes, it is", 2, interrupted=True)).is_success
    assert (await contents(writing, made, 3))[1:] == [
        ("assistant", "Yes, it is", "interrupted"),
        ("user", "Stop.", "complete"),
    ]


async def test_what_a_lost_agent_said_is_kept(
    start: Start, visit: Visit, conversations: Served
) -> None:
    served = await start(voice_lost_seconds=1.0)
    alice = await visit(served)
    writing = await visit(conversations, alice.actor)
    made = await make(alice)
    async with job(served, made["session_id"]) as running:
        await half_said(running, writing, made)
    found = await contents(writing, made, 2)
    assert found[1:] == [("assistant", "Yes, it is very", "interrupted")]
    again = await make(alice, conversation_id=made["conversation_id"])
    async with job(served, again["session_id"]) as running:
        plan = await running.plan()
    assert [each.content for each in plan.history] == ["Is flu catching?", "Yes, it is very"]


@pytest.mark.parametrize("goes_on", ["in writing", "in another call"])
async def test_a_session_with_nobody_in_it_ends_when_its_conversation_goes_on(
    alice: Person, service: Served, writing: Person, goes_on: str
) -> None:
    made = await make(alice)
    async with job(service, made["session_id"]) as running:
        await half_said(running, writing, made)
        await running.beat(participants=0)
        if goes_on == "in writing":
            await writing.send(path_of(made), "What is flu?")
        else:
            again = await make(alice, conversation_id=made["conversation_id"])
            async with job(service, again["session_id"]) as other:
                plan = await other.plan()
            assert [each.content for each in plan.history][1:] == ["Yes, it is very"]
        found = await contents(writing, made, 2)
        assert found[1] == ("assistant", "Yes, it is very", "interrupted")
        assert [role for role, _, _ in found[2:]] in ([], ["user", "assistant"])
        assert (await running.changes("", within=0)).end == "caller_left"
        assert (await running.beat()).json()["code"] == "voice.session_over"


async def silent_for(database: Database, seconds: float, *, words: float | None = None) -> None:
    """Lets time pass since the last sign of life, and since the last word of an open turn."""
    async with database.transaction(ITSELF) as tx:
        await tx.execute(
            "update public.voice_sessions set"
            " heartbeat_at = clock_timestamp() - make_interval(secs => $1)",
            seconds,
        )
        await tx.execute(
            "update medbot.voice_turns set"
            " recorded_at = clock_timestamp() - make_interval(secs => $1) where open",
            seconds if words is None else words,
        )


@pytest.mark.parametrize("goes_on", ["in writing", "in another call"])
async def test_what_a_dead_agent_was_saying_comes_before_what_is_said_elsewhere(
    start: Start, visit: Visit, conversations: Served, database: Database, goes_on: str
) -> None:
    served = await start(voice_lost_seconds=300.0)
    alice = await visit(served)
    writing = await visit(conversations, alice.actor)
    made = await make(alice)
    async with job(served, made["session_id"]) as running:
        await half_said(running, writing, made)
    await silent_for(database, 6)
    if goes_on == "in writing":
        await writing.send(path_of(made), "What is flu?")
    else:
        again = await make(alice, conversation_id=made["conversation_id"])
        async with job(served, again["session_id"]) as other:
            plan = await other.plan()
            assert [each.content for each in plan.history][1:] == ["Yes, it is very"]
            await other.say("user", "What is flu?")
    found = await contents(writing, made, 3)
    assert found[1:3] == [
        ("assistant", "Yes, it is very", "interrupted"),
        ("user", "What is flu?", "complete"),
    ]
    status = (await alice.http.get(f"{SESSION}/{made['session_id']}/status")).json()["status"]
    assert status == "active"


@pytest.mark.parametrize(("beat", "words"), [(4.0, 6.0), (6.0, 1.0)])
async def test_one_who_was_silent_for_a_moment_ends_the_turn_alone(
    alice: Person,
    service: Served,
    writing: Person,
    database: Database,
    beat: float,
    words: float,
) -> None:
    made = await make(alice)
    async with job(service, made["session_id"]) as running:
        await half_said(running, writing, made)
        await silent_for(database, beat, words=words)
        await writing.send(path_of(made), "What is flu?")
        assert (await running.say("assistant", "Yes, it is very catching.", 2)).is_success
    found = await contents(writing, made, 4)
    assert found[3] == ("assistant", "Yes, it is very catching.", "complete")


async def test_one_with_somebody_in_it_goes_on(
    alice: Person, service: Served, writing: Person
) -> None:
    made = await make(alice)
    async with job(service, made["session_id"]) as running:
        await half_said(running, writing, made)
        await running.beat(participants=1)
        await writing.send(path_of(made), "What is flu?")
        await make(alice, conversation_id=made["conversation_id"])
        assert (await running.beat()).is_success
        assert (await running.say("assistant", "Yes, it is very catching.", 2)).is_success
    found = await contents(writing, made, 4)
    assert found[3] == ("assistant", "Yes, it is very catching.", "complete")


async def test_whoever_runs_a_session_that_was_ended_says_how_its_last_turn_ended(
    alice: Person, service: Served, writing: Person, database: Database
) -> None:
    made = await make(alice)
    async with job(service, made["session_id"]) as running:
        await half_said(running, writing, made)
        await alice.http.delete(f"{SESSION}/{made['session_id']}")
        await asyncio.sleep(0.3)
        assert len(await writing.messages(path_of(made))) == 1
        told = await running.say("assistant", "Yes, it is very catch", 2, interrupted=True)
        assert told.is_success
    found = await contents(writing, made, 2)
    assert found[1] == ("assistant", "Yes, it is very catch", "interrupted")


async def test_where_it_never_says_so_the_turn_ends_as_it_was_heard(
    alice: Person, service: Served, writing: Person, database: Database
) -> None:
    made = await make(alice)
    async with job(service, made["session_id"]) as running:
        await half_said(running, writing, made)
        await alice.http.delete(f"{SESSION}/{made['session_id']}")
    async with database.transaction(ITSELF) as tx:
        await tx.execute(
            "update public.voice_sessions set ended_at = ended_at - interval '9 seconds'"
        )
    found = await contents(writing, made, 2)
    assert found[1] == ("assistant", "Yes, it is very", "interrupted")
