"""Every rule proves itself on its own examples, and a faulty rulebook is refused."""

import re
from pathlib import Path

import pytest

from assistant import safety
from assistant.safety import measures, replies, rulebook
from assistant.safety.gate import FIGURE, Gate
from assistant.safety.patterns import Compiler, PatternError
from assistant.safety.rulebook import Rule, RulebookError

RULES = rulebook.load().rules


def fired(text: str) -> set[str]:
    return {one.id for one in safety.assess(text).rules}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_fires_on_its_examples_and_spares_the_others(rule: Rule) -> None:
    assert [text for text in rule.fire if rule.id not in fired(text)] == []
    assert [text for text in rule.spare if rule.id in fired(text)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_firing_rule_gives_a_message_and_spans_inside_the_text(rule: Rule) -> None:
    for text in rule.fire:
        verdict = safety.assess(text)
        assert verdict.level.rank <= rule.level.rank
        assert verdict.message
        spans = [span for one in verdict.rules if one.id == rule.id for span in one.spans]
        assert spans
        assert all(0 <= span.start < span.end <= len(text) for span in spans)


def test_every_reply_is_filled_in_for_every_locale() -> None:
    says = replies.load()
    for rule in RULES:
        for locale in ("en-GB", "en-US", "de-DE", "en", "xx-YY", ""):
            text = says.message(rule.level, [rule], locale)
            assert "{" not in text
            assert len(text) < 900


def test_every_reply_is_used_and_there_is_one_for_every_rule() -> None:
    assert {rule.reply for rule in RULES} == replies.load().says.keys()


def test_every_concept_is_used() -> None:
    book = rulebook.load()
    todo = [
        FIGURE,
        *book.symptoms,
        *(name for rule in RULES for case in rule.cases for name in case.names),
    ]
    used: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in used:
            used.add(name)
            for pattern in book.concepts.get(name, ()):
                todo += re.findall(r"<(\w+)>", pattern)
    assert book.concepts.keys() - used == set()


def book(folder: Path, rules: str) -> Path:
    (folder / "rules").mkdir()
    (folder / "lexicon").mkdir()
    (folder / "rules" / "one.yaml").write_text(rules, "utf-8")
    return folder


RULE = """
rules:
  - {{id: a, level: {level}, source: NHS, reply: heart, when: [{case}], fire: [x], not: [y]}}
"""


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (RULE.format(level="dire", case="{all: [fever_38]}"), "dire"),
        (RULE.format(level="urgent", case="{all: [nowhere]}"), "nowhere"),
        (RULE.format(level="urgent", case="{unless: [fever_38]}"), "always fire"),
        (RULE.format(level="urgent", case="{some: [fever_38]}"), "some"),
        (RULE.format(level="urgent", case="{at_least: 2, of: [fever_38]}"), "at_least"),
        ("rules: [{id: a}]", "without"),
        ("concepts: {a: [yes]}", "quotes"),
        ("[", "not YAML"),
        ("- a", "not a mapping"),
    ],
)
def test_a_faulty_rulebook_is_refused_by_name(tmp_path: Path, rules: str, reason: str) -> None:
    with pytest.raises(RulebookError, match=reason):
        rulebook.read(book(tmp_path, rules))


@pytest.mark.parametrize(
    ("patterns", "reason"),
    [
        ({"a": ["<b>"]}, "b: no such concept"),
        ({"a": ["<a> pain"]}, "a: defined by itself"),
        ({"a": ["<b>"], "b": ["<a>"]}, "defined by itself"),
        ({"a": ["pain ~ (chest)"]}, "cannot read"),
        ({"a": ["<b> pain"], "b": ["x ~ y"]}, "phrases alone"),
    ],
)
def test_a_faulty_pattern_is_refused_by_name(patterns: dict[str, list[str]], reason: str) -> None:
    compiler = Compiler(patterns, key=str, fillers=frozenset())
    with pytest.raises(PatternError, match=reason):
        compiler.compile(["a"])


def test_a_rule_without_a_reply_is_refused() -> None:
    says = replies.load()
    bare = replies.Replies(says.numbers, says.openings, {}, {}, (), says.failed)
    with pytest.raises(RulebookError, match="no reply"):
        Gate(rulebook.load(), bare)


def test_measures_are_all_declared() -> None:
    concepts = rulebook.load().concepts
    assert measures.NAMES.isdisjoint(concepts)
