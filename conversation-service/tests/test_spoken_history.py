"""What the voice service is told of a conversation before and while somebody speaks in it."""

from typing import Any

import httpx
import pytest
from conversing import Person

import tokens
from kit.database import utc_now
from kit.testing import SERVICE_SECRET


async def history(person: Person, path: str, **asked: Any) -> dict[str, Any]:
    """What the voice service is answered in the person's name."""
    auth = tokens.ServiceAuth(SERVICE_SECRET, "voice", "conversation", utc_now, person.actor.id)
    internal = path.replace("/api/v1/", "/internal/")
    async with httpx.AsyncClient(base_url=person.http.base_url, auth=auth) as http:
        answer = await http.post(f"{internal}/history", json=asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.mark.parametrize(
    ("asked", "seqs"),
    [
        ({}, [1, 2, 3, 4]),
        ({"messages": 2}, [3, 4]),
        ({"messages": 0}, []),
        ({"after": 1}, [2, 3, 4]),
        ({"after": 1, "messages": 2}, [2, 3]),
        ({"after": 1, "messages": 0}, []),
        ({"after": 9}, []),
    ],
)
async def test_so_many_messages_as_are_asked_for(
    alice: Person, asked: dict[str, int], seqs: list[int]
) -> None:
    path = await alice.start()
    for words in ("What helps against a fever?", "And against a cough?"):
        assert (await alice.send(path, words)).status_code == 201
    told = await history(alice, path, **asked)
    assert [message["seq"] for message in told["messages"]] == seqs
    whole = asked.get("messages") != 2 or "after" not in asked
    assert told["last_seq"] == (4 if whole else 3)
