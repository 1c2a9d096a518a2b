"""Conversations are made, listed without gaps, searched, renamed and deleted whole."""

import asyncio
import uuid
from typing import Any

import pytest
from conversing import Person

from kit import paging

ROOT = "/api/v1/conversations"
LATE = paging.encode("9999-12-31T23:59:59-14:00", uuid.uuid4())


async def test_a_new_conversation_is_read_back(alice: Person) -> None:
    made = await alice.http.post(ROOT, json={"title": "  My knee "})
    assert made.status_code == 201
    assert made.json()["title"] == "My knee"
    assert set(made.json()) == {"id", "title", "pinned", "created_at", "updated_at"}
    read = await alice.http.get(f"{ROOT}/{made.json()['id']}")
    assert read.json() == made.json()


async def test_creating_again_with_the_same_key_answers_the_same(alice: Person) -> None:
    headers = {"idempotency-key": "new-chat"}
    answers = await asyncio.gather(
        *(alice.http.post(ROOT, json={"title": "A"}, headers=headers) for _ in range(10))
    )
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await alice.http.post(ROOT, json={"title": "B"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency.mismatch")
    assert len((await alice.http.get(ROOT)).json()["items"]) == 1


async def test_renaming_and_pinning(alice: Person) -> None:
    path = await alice.start("Old")
    changed = await alice.http.patch(path, json={"title": "New", "pinned": True})
    assert (changed.json()["title"], changed.json()["pinned"]) == ("New", True)
    unpinned = await alice.http.patch(path, json={"pinned": False})
    assert (unpinned.json()["title"], unpinned.json()["pinned"]) == ("New", False)
    assert (await alice.http.patch(path, json={"owner_id": "x"})).status_code == 422


async def test_a_list_misses_and_repeats_nothing_while_it_grows(alice: Person) -> None:
    before = [await alice.start(str(n)) for n in range(9)]
    seen: list[str] = []
    cursor = None
    while True:
        answer = await alice.http.get(ROOT, params={"limit": 2, **_cursor(cursor)})
        page = answer.json()
        seen += [f"{ROOT}/{item['id']}" for item in page["items"]]
        await alice.start("later")
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == before[::-1]


async def test_nobody_is_missed_or_told_twice_while_many_write(alice: Person) -> None:
    """Ten write all the time; what was there before the first page is seen once, newest first."""
    before = [await alice.start(str(n)) for n in range(30)]
    ended = asyncio.Event()

    async def write() -> None:
        while not ended.is_set():
            path = await alice.start("later")
            await alice.http.patch(path, json={"pinned": True})
            await alice.http.patch(before[7], json={"title": "seven"})

    writing = [asyncio.create_task(write()) for _ in range(10)]
    seen: list[str] = []
    cursor = None
    while True:
        page = (await alice.http.get(ROOT, params={"limit": 3, **_cursor(cursor)})).json()
        seen += [f"{ROOT}/{item['id']}" for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    ended.set()
    await asyncio.gather(*writing)
    assert len(set(seen)) == len(seen)
    assert [path for path in seen if path in before] == before[::-1]


async def test_messages_that_come_while_they_are_listed_are_seen_once(alice: Person) -> None:
    path = await alice.start()
    for n in range(4):
        await alice.send(path, f"What is flu? {n}")
    before = [message["id"] for message in await alice.messages(path)]
    for order, expected in (("asc", before), ("desc", before[::-1])):
        writing = asyncio.create_task(alice.send(path, "What is a cold?"))
        seen = [message["id"] for message in await _all(alice, f"{path}/messages", order)]
        await writing
        assert len(set(seen)) == len(seen)
        assert [message for message in seen if message in before] == expected


async def test_the_pinned_ones_can_be_asked_for(alice: Person) -> None:
    paths = [await alice.start(str(n)) for n in range(4)]
    for path in paths[1:3]:
        await alice.http.patch(path, json={"pinned": True})
    pinned = (await alice.http.get(ROOT, params={"pinned": "true"})).json()["items"]
    others = (await alice.http.get(ROOT, params={"pinned": "false"})).json()["items"]
    assert [item["title"] for item in pinned] == ["2", "1"]
    assert [item["title"] for item in others] == ["3", "0"]
    for path in paths:
        await alice.http.patch(path, json={"title": "vertigo"})
    found = await alice.http.get(ROOT, params={"q": "vertigo", "pinned": "true"})
    assert [f"{ROOT}/{item['id']}" for item in found.json()["items"]] == paths[2:0:-1]


async def test_messages_are_listed_both_ways_with_a_cursor(alice: Person) -> None:
    path = await alice.start()
    for question in ("What is flu?", "What is a cold?"):
        await alice.send(path, question)
    forwards = await _all(alice, f"{path}/messages", "asc")
    assert [m["role"] for m in forwards] == ["user", "assistant"] * 2
    assert await _all(alice, f"{path}/messages", "desc") == forwards[::-1]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", f"{ROOT}?limit=0", None, "request.invalid"),
        ("GET", f"{ROOT}?limit=101", None, "request.invalid"),
        ("GET", f"{ROOT}?cursor=nonsense", None, "request.bad_cursor"),
        ("GET", f"{ROOT}?cursor={LATE}", None, "request.bad_cursor"),
        ("GET", f"{ROOT}?q=", None, "request.invalid"),
        ("GET", f"{ROOT}?q=flu&cursor=nonsense", None, "request.bad_cursor"),
        ("GET", f"{ROOT}?q=flu&cursor={LATE}", None, "request.bad_cursor"),
        ("GET", f"{ROOT}?pinned=perhaps", None, "request.invalid"),
        ("GET", f"{ROOT}?q=a%00b", None, "request.invalid"),
        ("GET", f"{ROOT}/not-an-id", None, "request.invalid"),
        ("POST", ROOT, {"title": "x" * 201}, "request.invalid"),
        ("POST", ROOT, {"title": "a\0"}, "request.invalid"),
        ("POST", ROOT, ["x"], "request.invalid"),
    ],
)
async def test_bad_input_is_named(
    alice: Person, method: str, path: str, body: Any, code: str
) -> None:
    answer = await alice.http.request(method, path, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_an_unknown_key_is_refused_without_repeating_it(alice: Person) -> None:
    answer = await alice.http.post(ROOT, json={"I have gout": 1})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body"
    assert "gout" not in answer.text


async def test_a_body_over_the_limit_is_refused(alice: Person) -> None:
    answer = await alice.http.post(ROOT, json={"title": "x" * (1024 * 1024)})
    assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")


def _cursor(cursor: str | None) -> dict[str, str]:
    return {"cursor": cursor} if cursor else {}


async def _all(person: Person, path: str, order: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        params: dict[str, str] = {"limit": "3", "order": order, **_cursor(cursor)}
        page = (await person.http.get(path, params=params)).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items
