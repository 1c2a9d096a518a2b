"""The hand-over says what the person said and what the gate found, each with its messages."""

from itertools import chain
from typing import Any

from conversing import Person

SECTIONS = ("situation", "background", "assessment", "recommendation")


def statements(handoff: dict[str, Any]) -> list[dict[str, Any]]:
    return list(chain.from_iterable(handoff[section] for section in SECTIONS))


async def test_each_statement_stands_on_messages_that_say_so(alice: Person) -> None:
    path = await alice.start("One")
    for text in (
        "My name is Ann and I am 58. I am allergic to penicillin.",
        "I take 5 mg of ramipril. My knee hurts since Tuesday.",
        "Now I have crushing chest pain and my left arm is numb",
    ):
        await alice.send(path, text)
    answer = await alice.http.get(f"{path}/handoff")
    assert answer.status_code == 200
    found = answer.json()
    messages = {message["id"]: message for message in await alice.messages(path)}
    for statement in statements(found):
        assert statement["message_ids"]
        assert set(statement["message_ids"]) <= set(messages)
        if statement["text"].count('"') == 2 and "was told" not in statement["text"]:
            quoted = statement["text"].split('"')[1]
            assert quoted in messages[statement["message_ids"][0]]["content"]
    texts = {section: " ".join(s["text"] for s in found[section]) for section in SECTIONS}
    assert "allergic to penicillin" in texts["background"]
    assert "5 mg of ramipril" in texts["background"]
    assert "knee hurts" in texts["situation"]
    assert "Last message" in texts["situation"]
    assert "emergency" in texts["assessment"]
    assert "The person was told" in texts["recommendation"]
    assert found["level"] == "emergency"
    alarmed = [
        m["id"] for m in messages.values() if (m["triage"] or {}).get("level") == "emergency"
    ]
    assert found["assessment"][0]["message_ids"] == alarmed[::-1]


async def test_a_calm_or_empty_conversation_raises_nothing(alice: Person, bob: Person) -> None:
    path = await alice.start("One")
    empty = (await alice.http.get(f"{path}/handoff")).json()
    assert (statements(empty), empty["level"]) == ([], None)
    await alice.send(path, "What is flu?")
    calm = (await alice.http.get(f"{path}/handoff")).json()
    assert calm["recommendation"] == []
    assert calm["level"] in {"none", "routine"}
    assert (await bob.http.get(f"{path}/handoff")).status_code == 404
