"""Which models are asked, what they are told, and that their markers stay honest."""

import itertools
from functools import partial

import pytest

from assistant import prompts
from assistant.llm import providers
from assistant.llm.markers import Markers
from assistant.turns import Citation, Text


def passages(count: int) -> list[Citation]:
    return [
        Citation(n, f"card-{n}", f"Card {n}", "NHS", "https://example.org", f"fact {n}", 0.5)
        for n in range(1, count + 1)
    ]


def shown(chunks: list[str], given: list[Citation]) -> tuple[str, list[tuple[int, str]]]:
    """The text that leaves, and the citations with their new markers, checked for their order."""
    markers, text, cited = Markers(given), "", list[tuple[int, str]]()
    for piece in itertools.chain(*(markers.feed(chunk) for chunk in chunks), markers.end()):
        if isinstance(piece, Text):
            text += piece.text
            for number, _ in cited:
                assert number <= len(cited)
        else:
            cited.append((piece.marker, piece.document_id))
    return text, cited


def test_without_a_key_nobody_is_asked() -> None:
    assert providers.chain() == ()


def test_providers_are_asked_in_order_and_one_may_be_put_first() -> None:
    every = partial(providers.chain, openai_key="a", grok_key="xai-b", groq_key="c")
    assert [p.name for p in every()] == ["openai", "grok", "groq"]
    changed = every(first="groq", model="other")
    assert [p.name for p in changed] == ["groq", "openai", "grok"]
    assert changed[0].model == "other"
    assert changed[1].model != "other"


def test_a_local_server_needs_no_key_and_openrouter_is_known_by_its_key() -> None:
    (local,) = providers.chain(openai_base_url="http://127.0.0.1:11434/v1")
    assert (local.base_url, local.key) == ("http://127.0.0.1:11434/v1", "none")
    (router,) = providers.chain(grok_key="sk-or-x")
    assert router.base_url == providers.OPENROUTER
    assert "sk-or-x" not in repr(router)


@pytest.mark.parametrize(
    ("said", "text", "cited"),
    [
        ("Rest [3]. Drink [1] [3].", "Rest [1]. Drink [2] [1].", [(1, "card-3"), (2, "card-1")]),
        ("Rest [9].", "Rest.", []),
        ("Rest [2, 9, 1].", "Rest [1][2].", [(1, "card-2"), (2, "card-1")]),
        ("Rest [0] [-1] [note] [1", "Rest [-1] [note] [1", []),
        ("Rest [2][2].", "Rest [1][1].", [(1, "card-2")]),
        ("In [2019] and [0007]", "In and", []),
        ("Rest [2-3]; [1; 9]", "Rest [1][2]; [3]", [(1, "card-2"), (2, "card-3"), (3, "card-1")]),
        ("Rest 【3】", "Rest [1]", [(1, "card-3")]),
        ("[[99]5] [ [99]5] [[2]]", "5]5] [1]]", [(1, "card-2")]),
        ("", "", []),
    ],
)
def test_markers_count_from_one_and_name_what_was_retrieved(
    said: str, text: str, cited: list[tuple[int, str]]
) -> None:
    assert shown([said], passages(3)) == (text, cited)


def test_markers_do_not_hang_on_where_a_stream_is_cut() -> None:
    said = "Rest [ 2 , 3 ] now [12]. 🙂 Drink [1][x] [3]!"
    whole = shown([said], passages(3))
    for first, second in itertools.combinations(range(len(said) + 1), 2):
        assert shown([said[:first], said[first:second], said[second:]], passages(3)) == whole


@pytest.mark.parametrize("level", ["none", "routine", "urgent", "crisis", "emergency"])
def test_the_prompt_begins_alike_whatever_the_level(level: str) -> None:
    prompt = prompts.system(operator="We open at nine.", level=level)
    assert prompt.startswith(prompts.system())
    assert "We open at nine." in prompt
    assert ("## Now" in prompt) == (level in {"urgent", "crisis", "emergency"})


@pytest.mark.parametrize("name", ["assistant", "after_emergency", "after_crisis", "after_urgent"])
def test_every_prompt_has_a_version_that_is_not_sent(name: str) -> None:
    assert prompts.version(name).count("-") == 2
    assert "version" not in prompts.read(name)
