"""Search: the person's own words and the assistant's, ranked, marked, whatever case or accents."""

import asyncio
import html
import re
from typing import Any

import asyncpg
import pytest
from conversing import Person

from conversation_service.search import snippets
from kit.testing import Addresses

ROOT = "/api/v1/conversations"
LONG = " ".join(f"filler{n}" for n in range(250))


async def search(person: Person, q: str, **more: Any) -> list[dict[str, Any]]:
    answer = await person.http.get(ROOT, params={"q": q, **more})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def titles(person: Person, q: str) -> list[str]:
    return [item["title"] for item in await search(person, q)]


async def test_words_of_titles_and_messages_are_found(alice: Person, bob: Person) -> None:
    await alice.start("My left knee")
    other = await alice.start("Other things")
    await alice.send(other, "Could my headaches come from the new glasses?")
    await bob.send(await bob.start("Bob's"), "headache again, and the glasses")
    (found,) = await search(alice, "HEADACHE glasses")
    assert found["title"] == "Other things"
    assert "<mark>headaches</mark>" in found["matches"][0]["snippet"]
    (by_title,) = await search(alice, "knees")
    assert (by_title["title"], by_title["matches"]) == ("My left knee", [])
    assert await search(alice, "zebra") == []
    assert await search(alice, "the of and") == []


@pytest.mark.parametrize(
    "asked",
    ["Zürich", "zurich", "ZURICH", "Zu\u0308rich", "creme brulee", "Øre", "STRASSE", "ǅungla"],
)
async def test_case_and_accents_make_no_difference(alice: Person, asked: str) -> None:
    path = await alice.start("One")
    await alice.send(path, f"{LONG} Zürich crème brûlée øre Straße ǆungla {LONG}")
    (found,) = await search(alice, asked)
    marked = re.findall("<mark>(.*?)</mark>", found["matches"][0]["snippet"])
    assert len(marked) == len(asked.split())
    assert set(marked) <= {"Zürich", "crème", "brûlée", "øre", "Straße", "ǆungla"}, "as written"


async def test_phrases_alternatives_exclusions_and_beginnings(alice: Person) -> None:
    for title, text in (
        ("A", "ringing in the left ear"),
        ("B", "the ear on my left is ringing"),
        ("C", "quokka since Monday"),
    ):
        await alice.send(await alice.start(title), text)
    assert sorted(await titles(alice, "left ear")) == ["A", "B"]
    assert await titles(alice, '"left ear"') == ["A"]
    assert sorted(await titles(alice, '"left ear" or quokka')) == ["A", "C"]
    assert await titles(alice, "ringing -monday -on ear") != []
    assert await titles(alice, "ear -monday -since") == await titles(alice, "ear")
    assert await titles(alice, "quok*") == ["C"]
    assert await titles(alice, "quok* zebra") == []


@pytest.mark.parametrize(("asked", "found"), [("⑴*", True), ("ﷺ*", False), ("one㈠*", False)])
async def test_a_letter_that_stands_for_several_begins_a_word_too(
    alice: Person, asked: str, found: bool
) -> None:
    await alice.send(await alice.start("One"), "step 1 of 2")
    assert await titles(alice, asked) == (["One"] if found else [])


async def test_the_better_match_comes_first_and_a_title_counts_more(alice: Person) -> None:
    for title, text in (
        ("Once", f"{LONG} sciatica {LONG}"),
        ("Sciatica", "What is it?"),
        ("Thrice", "sciatica, sciatica and sciatica"),
    ):
        await alice.send(await alice.start(title), text)
    assert await titles(alice, "sciatica") == ["Sciatica", "Thrice", "Once"]


async def test_a_snippet_is_safe_as_html(alice: Person) -> None:
    await alice.send(await alice.start("One"), "<script>alert('gout')</script> & gout <b>toe</b>")
    (found,) = await search(alice, "gout")
    snippet = found["matches"][0]["snippet"]
    assert "<mark>gout</mark>" in snippet
    bare = snippet.replace("<mark>", "").replace("</mark>", "")
    assert "<" not in bare
    assert html.unescape(bare) == "<script>alert('gout')</script> & gout <b>toe</b>"


async def test_pages_miss_and_repeat_nothing_while_matches_are_added(alice: Person) -> None:
    before = []
    for n in range(7):
        before.append(await alice.start(f"N{n}"))
        await alice.send(before[-1], "vertigo " * (n + 1))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await alice.http.get(ROOT, params={"q": "vertigo", "limit": 2, **cursor})
        page = answer.json()
        seen += [f"{ROOT}/{item['id']}" for item in page["items"]]
        await asyncio.gather(*(alice.send(path, "vertigo vertigo") for path in before[:2]))
        await alice.send(await alice.start("New"), "vertigo")
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(seen) == sorted(before)


async def test_a_reply_that_was_replaced_is_not_found(alice: Person, addresses: Addresses) -> None:
    path = await alice.start("One")
    reply = (await alice.send(path, "What is flu?")).json()["assistant_message"]
    connection = await asyncpg.connect(addresses.owner)
    await connection.execute(
        "update public.messages set content = 'xylophone' where id = $1", reply["id"]
    )
    await connection.close()
    assert await titles(alice, "xylophone") == ["One"]
    await alice.http.post(f"{path}/messages/{reply['id']}/regenerate")
    assert await titles(alice, "xylophone") == []


@pytest.mark.parametrize("text", ["Straße ÉCOLE ﬁne Å ½ ŒUVRE Ⅳ", "a\u0301b e\u0308", "İstanbul"])
async def test_both_foldings_agree(addresses: Addresses, text: str) -> None:
    connection = await asyncpg.connect(addresses.owner)
    try:
        assert await connection.fetchval("select medbot.folded($1)", text) == snippets.fold(text)
    finally:
        await connection.close()
