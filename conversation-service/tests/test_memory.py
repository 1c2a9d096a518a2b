"""However long a conversation is, the prompt is bounded and holds what was said at the start."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conversing import Person, Start, Visit
from filling import chatter, fill
from model_server import ModelServer, Refuse, Say
from pydantic import SecretStr

from kit.testing import Addresses, serve

ALLERGY = "My name is Ann, I am 34 and allergic to penicillin. I take 20 mg of fluoxetine."
BOUND = 40_000
"""Characters of everything a model is sent, for any conversation; a token is about four."""


@pytest.fixture
async def model() -> AsyncIterator[tuple[ModelServer, dict[str, Any]]]:
    """Answers at once; titles and summaries it refuses unless a test says otherwise."""
    server = ModelServer([[Say("Drink a lot.")]])
    async with serve(server.app()) as served:
        settings = {"openai_base_url": f"{served.url}/v1", "openai_api_key": SecretStr("test")}
        yield server, settings


async def summary(person: Person, path: str, messages: int) -> dict[str, Any]:
    """The summary, as soon as it covers so many messages."""
    async with asyncio.timeout(20):
        while True:
            found: dict[str, Any] = (await person.http.get(f"{path}/summary")).json()
            if found["messages"] >= messages:
                return found
            await asyncio.sleep(0.05)


def sent(model: ModelServer) -> str:
    """All of the last prompt."""
    return json.dumps(model.requests[-1]["messages"], ensure_ascii=False)


async def test_the_start_of_2000_messages_is_still_in_a_bounded_prompt(
    start: Start, visit: Visit, addresses: Addresses, model: tuple[ModelServer, dict[str, Any]]
) -> None:
    alice = await visit(await start(**model[1]))
    path = await alice.start("Long")
    middle = "I had my gall bladder removed in 2012."
    await fill(addresses, path, [ALLERGY, *chatter(500), middle, *chatter(498)])
    await alice.send(path, "What helps against a sore throat?")
    assert "allergic to penicillin" in sent(model[0]), "before any summary was made"
    assert len(sent(model[0])) < BOUND
    found = await summary(alice, path, 2002)
    for said in ("Ann", "penicillin", "20 mg of fluoxetine", "gall bladder"):
        assert said in found["text"]
    await alice.send(path, "And against a cough?")
    for said in ("Ann", "penicillin", "20 mg of fluoxetine", "gall bladder", "sore throat"):
        assert said in sent(model[0])
    assert len(sent(model[0])) < BOUND
    assert len(model[0].requests[-1]["messages"]) < 25


async def test_a_summary_names_the_message_of_each_fact(
    start: Start, visit: Visit, addresses: Addresses
) -> None:
    alice, bob = [await visit(served) for served in [await start()] * 2]
    path = await alice.start("Long")
    empty = (await alice.http.get(f"{path}/summary")).json()
    assert (empty["text"], empty["facts"], empty["messages"]) == ("", [], 0)
    await fill(addresses, path, [ALLERGY, *chatter(15)])
    await alice.send(path, "What is flu?")
    found = await summary(alice, path, 34)
    first = (await alice.messages(path))[0]
    allergy = next(fact for fact in found["facts"] if fact["kind"] == "allergy")
    assert allergy["message_id"] == first["id"]
    assert allergy["text"] in first["content"]
    assert found["written_by"] is None
    assert (await bob.http.get(f"{path}/summary")).status_code == 404


async def test_a_short_conversation_is_told_as_it_stands(
    start: Start, visit: Visit, model: tuple[ModelServer, dict[str, Any]]
) -> None:
    alice = await visit(await start(**model[1]))
    path = await alice.start("Short")
    for n in range(4):
        await alice.send(path, f"What is flu? {n}")
    contents = [message["content"] for message in model[0].requests[-1]["messages"]]
    assert contents[1:7:2] == ["What is flu? 0", "What is flu? 1", "What is flu? 2"]
    assert "<earlier>" not in sent(model[0])
    assert model[0].asides == []


async def test_a_model_words_the_summary_and_cannot_lose_an_allergy(
    start: Start, visit: Visit, addresses: Addresses, model: tuple[ModelServer, dict[str, Any]]
) -> None:
    model[0].aside = [Say("They spoke of headaches.")]
    alice = await visit(await start(**model[1]))
    path = await alice.start("Long")
    await fill(addresses, path, [ALLERGY, *chatter(40)])
    await alice.send(path, "What is flu?")
    found = await summary(alice, path, 84)
    assert found["text"].startswith("They spoke of headaches.")
    assert found["written_by"] is not None
    await alice.send(path, "And a cold?")
    assert "They spoke of headaches." in sent(model[0])
    assert "penicillin" in sent(model[0])
    model[0].aside = [Refuse(500)]
    for n in range(5):
        await alice.send(path, f"I am on metformin since week {n}.")
    found = await summary(alice, path, 92)
    assert "metformin" in found["text"], "by its own words when no model answers"


async def test_a_long_message_leaves_room_for_the_question_alone(
    start: Start, visit: Visit, model: tuple[ModelServer, dict[str, Any]]
) -> None:
    model[0].scripts = [[Say("word " * 4000)], [Say("Well.")]]
    alice = await visit(await start(**model[1]))
    path = await alice.start("One")
    await alice.send(path, "I am allergic to latex. " + "x " * 3900)
    await alice.send(path, "What is flu?")
    assert len(sent(model[0])) < BOUND
    assert "allergic to latex" in sent(model[0])


EARLY = [
    "Penicillin nearly killed me once.",
    "Ramipril in the morning, bisoprolol at night.",
    "My ticker isn't good, two stents.",
    "Baby's due in March.",
    "Peanuts close my throat right up.",
]
"""What matters, in words that no list of signs was made for."""

LATER = ["Sugar trouble since primary school.", "Latex and me are enemies."]

SUBJECTS = (
    "the garden",
    "our holiday",
    "work",
    "the neighbours",
    "my knee",
    "the weather",
    "football",
)
SAYINGS = (
    "{} was on my mind again today, number {}.", "Nothing new about {}, day {}.",
    "We talked about {} for {} minutes.", "{} keeps me awake at {} in the night.",
    "Can you say more about {} and {}?", "My sister asked about {} {} times.",
)  # fmt: skip


def wandering(count: int, seed: int) -> list[str]:
    """Varied talk of many things."""
    chance = random.Random(seed)
    return [chance.choice(SAYINGS).format(chance.choice(SUBJECTS), n) for n in range(count)]


async def test_the_start_stays_whatever_words_it_was_told_in(
    start: Start, visit: Visit, addresses: Addresses, model: tuple[ModelServer, dict[str, Any]]
) -> None:
    alice = await visit(await start(**model[1]))
    path = await alice.start("Long")
    talk = [*EARLY, *wandering(300, 1), LATER[0], *wandering(400, 2), LATER[1], *wandering(292, 3)]
    await fill(addresses, path, talk)
    await alice.send(path, "What helps against a sore throat?")
    await summary(alice, path, 2 * len(talk) + 2)
    await alice.send(path, "And against a cough?")
    told = sent(model[0])
    assert [words for words in (*EARLY, *LATER) if words not in told] == []
    assert len(told) < BOUND
