"""The rules for writing cards, checked: `python -m assistant.knowledge.lint library [file …]`."""

import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.knowledge import cards, naming, prose
from assistant.knowledge.cards import Card, Section

MAX_WORDS = 25
MAX_STEPS = 6
BLOCK_WORDS = (15, 40)
BODY_WORDS = (120, 420)
_ALWAYS = ("What it is", "When to see someone", "Danger signs", "Sources")
_FACTS = frozenset({"Causes", "Signs", "Side effects", "How long it lasts", "Common questions"})
_MEDICINES_ONLY = frozenset({"How to take it", "Who should not take it", "Side effects"})
_LISTS = frozenset({"What to do", "What not to do", "How to take it"})
_BLOCKS = ("When to see someone", "Danger signs")
_DANGLING = re.compile(
    r"(?:it|its|it's|they|their|them|they're|this|these|that|those|some|he|she|his|her|hers"
    r"|others|such|both|but|and|or|so|however|also|otherwise|instead|therefore)\b",
    re.IGNORECASE,
)
_ACT = {
    "Danger signs": re.compile(r"(?:Call|Phone|Go to|Go straight to|Get|Take|Seek)\b"),
    "When to see someone": re.compile(
        r"(?:See|Go to|Call|Phone|Ask|Contact|Talk to|Speak to|Visit|Book|Make|Get|Seek|Take)\b"
    ),
}
_PROHIBITION = re.compile(r"(?:do not|don't|never|avoid)\b", re.IGNORECASE)
_NOT_SPOKEN = re.compile(r"[()\[\];:/%&]|\be\.g\.|\bi\.e\.")
_MARKUP = re.compile(r"\*\*|__|`|<[a-z/]|\]\(|^#+|^\|", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach of a rule, on a line of the card's file."""

    document_id: str
    line: int
    rule: str
    reason: str


Found = Iterator[tuple[int, str, str]]  # line, rule, reason


def check(card: Card) -> list[Finding]:
    """Every breach in one card, in the order of its lines."""
    found = itertools.chain.from_iterable(rule(card) for rule in _RULES)
    return sorted((Finding(card.id, *each) for each in found), key=lambda each: each.line)


def check_folder(library: Sequence[Card]) -> list[Finding]:
    """Every breach in each card, and names that two cards claim."""
    return [*itertools.chain.from_iterable(map(check, library)), *_claimed_twice(library)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a finding; 1 when there is any, 2 when called wrongly."""
    given = [Path(each) for each in (sys.argv[1:] if arguments is None else arguments)]
    if not given or not all(path.exists() for path in given):
        sys.stderr.write("usage: python -m assistant.knowledge.lint folder [file …]\n")
        return 2
    folders = [path for path in given if path.is_dir()]
    wanted = {path.stem for path in given if path.is_file()}
    paths = {path.stem: path for path in given if path.is_file()}
    for folder in folders:
        paths |= {each.stem: each for each in cards.paths(folder)}
    findings = [each for each in _read(paths) if not wanted or each.document_id in wanted]
    for each in sorted(findings, key=lambda each: (each.document_id, each.line)):
        sys.stdout.write(f"{paths[each.document_id]}:{each.line} {each.rule}: {each.reason}\n")
    return 1 if findings else 0


def _read(paths: dict[str, Path]) -> list[Finding]:
    library, findings = [], []
    for document_id, path in sorted(paths.items()):
        try:
            library.append(cards.read(path))
        except cards.CardError as broken:
            findings.append(Finding(document_id, broken.line, "unreadable", broken.reason))
    return [*findings, *check_folder(library)]


def _identity(card: Card) -> Found:
    if not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", card.id):
        yield 1, "id", "the file's name must be kebab-case"
    if card.kind not in cards.KINDS:
        yield 1, "kind", f"one of {', '.join(cards.KINDS)}"
    if not card.title[:1].isupper() and not card.title[:1].isdigit():
        yield 1, "title", "begins with a capital letter"
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])(-\d\d)?", card.reviewed):
        yield 1, "reviewed", "a month such as 2026-11"


def _names(card: Card) -> Found:
    if not card.also_called:
        yield 1, "also_called", "needs at least one name that people use"
    own = [naming.key(each) for each in (card.title, *card.also_called)]
    for name in sorted({each for each in own if own.count(each) > 1}):
        yield 1, "also_called", f"{name!r} stands twice"
    for name in card.not_this:
        if naming.key(name) in own:
            yield 1, "not_this", f"{name!r} is one of the card's own names"


def _headings(card: Card) -> Found:
    order = [each.heading for each in card.sections]
    known = [each for each in order if each in cards.HEADINGS]
    for section in card.sections:
        line = card.line(section.offset)
        if section.heading not in cards.HEADINGS:
            yield line, "heading", f"{section.heading!r} is not one of the fixed headings"
        if not section.text:
            yield line, "heading", f"nothing stands under {section.heading!r}"
    if len(set(order)) < len(order):
        yield card.body_line, "heading", "a heading stands twice"
    if known != sorted(known, key=cards.HEADINGS.index):
        yield (
            card.body_line,
            "order",
            "headings must stand in this order: "
            + ", ".join(sorted(set(known), key=cards.HEADINGS.index)),
        )


def _required(card: Card) -> Found:
    present = {each.heading for each in card.sections}
    medicine = card.kind == "medicine"
    needed = [*_ALWAYS, "How to take it" if medicine else "What to do"]
    if card.kind == "treatment" and "How to take it" in present:
        needed.remove("What to do")
    needed += ["Side effects"] if medicine else []
    for heading in needed:
        if heading not in present:
            yield card.body_line, "required", f"needs the heading {heading!r}"
    if not present & _FACTS:
        yield card.body_line, "required", "needs one of " + ", ".join(sorted(_FACTS))
    if card.kind not in {"medicine", "treatment"}:
        for heading in sorted(present & _MEDICINES_ONLY):
            yield card.body_line, "heading", f"{heading!r} is for medicines and treatments"


def _sentences(card: Card) -> Found:
    for section in _prose(card):
        for sentence in prose.sentences(section.text):
            line = card.line(section.offset + sentence.start)
            count = prose.words(sentence.text)
            if count > MAX_WORDS:
                yield line, "long", f"a sentence of {count} words, {MAX_WORDS} at most"
            if _DANGLING.match(sentence.text):
                first = sentence.text.split()[0]
                yield line, "dangling", f"begins with {first!r}; name what is meant"
            if not sentence.text.rstrip("\"'”’)").endswith((".", "!")):
                yield line, "unfinished", "a sentence ends with a full stop (questions are none)"
            if not re.match(r"[\"'“‘(]?[A-Z0-9]", sentence.text):
                yield line, "unfinished", "a sentence begins with a capital letter"


def _topic(card: Card) -> Found:
    names = naming.Names(card.title, card.also_called)
    for section in _prose(card):
        if section.heading in {*_LISTS, *_BLOCKS}:
            continue
        for sentence in prose.sentences(section.text):
            if not names.named_in(sentence.text):
                line = card.line(section.offset + sentence.start)
                yield line, "topic", f"does not name {card.title!r}: {sentence.text[:50]!r}"


def _definition(card: Card) -> Found:
    section = card.section("What it is")
    if section is None or not section.text:
        return
    title = re.escape(card.title)
    form = rf"(?:an? |the )?{title}(?:e?s)?(?: \([^)]*\)|, [^,.]+,)? (?:is|are)\b"
    if not re.match(form, section.text, re.IGNORECASE):
        yield card.line(section.offset), "definition", f"must begin '{card.title} is …' or 'are …'"


def _steps(card: Card) -> Found:
    section = card.section("What to do")
    listed = card.section("How to take it")
    for each in (section, listed):
        if each is None or not each.text:
            continue
        line, found = card.line(each.offset), prose.sentences(each.text)
        items = sum(1 for sentence in found if sentence.item)
        if items > MAX_STEPS:
            yield line, "steps", f"{items} items, {MAX_STEPS} at most"
        if each is section and any(sentence.item is None for sentence in found):
            yield line, "steps", "must be a list and nothing else"
    for sentence in prose.sentences(section.text if section else ""):
        if sentence.item and section and _PROHIBITION.match(sentence.text):
            line = card.line(section.offset + sentence.start)
            yield line, "steps", "a prohibition belongs under 'What not to do'"


def _prohibitions(card: Card) -> Found:
    section = card.section("What not to do")
    for sentence in prose.sentences(section.text if section else ""):
        if section and not re.search(r"\b(?:not|never|avoid|stop|no)\b", sentence.text.lower()):
            line = card.line(section.offset + sentence.start)
            yield line, "prohibition", "says nothing that must not be done"


def _help_blocks(card: Card) -> Found:
    for heading in _BLOCKS:
        section = card.section(heading)
        if section is None or not section.text:
            continue
        line, count = card.line(section.offset), prose.words(section.text)
        low, high = BLOCK_WORDS
        if not low <= count <= high:
            yield line, "block", f"{heading!r} has {count} words, {low} to {high} wanted"
        found = prose.sentences(section.text)
        if any(each.item is not None for each in found):
            yield line, "block", f"{heading!r} is prose, not a list"
        first = found[0].text
        if not _ACT[heading].match(first) or not re.search(r"\b(?:if|when|for)\b", first):
            yield line, "block", f"{heading!r} begins with the act: 'Call emergency services if …'"
        if _NOT_SPOKEN.search(first):
            yield line, "spoken", "its first sentence must be fit to be spoken"


def _comparisons(card: Card) -> Found:
    section = card.section("Compared with")
    names = naming.Names(card.title, card.also_called)
    for start, end in prose.blocks(section.text if section else ""):
        assert section is not None
        line, text = card.line(section.offset + start), section.text[start:end]
        for sentence in prose.sentences(text):
            sides = re.split(r",? while ", sentence.text, maxsplit=1)
            if len(sides) != 2 or not all(prose.words(side) > 2 for side in sides):
                yield line, "comparison", "one sentence with both names and 'while'"
            elif all(names.whole_in(side) for side in sides):
                yield line, "comparison", "names the card's own topic on both sides of 'while'"


def _sourced(card: Card) -> Found:
    section = card.section("Sources")
    line = card.line(section.offset) if section else card.body_line
    if section and not card.sources:
        yield line, "sources", "names none"
    for source in card.sources:
        if not re.fullmatch(r"https://[\w.-]+\.[a-z]+(?:/\S*)?", source.url):
            yield line, "sources", f"{source.name!r} needs an https address"


def _size(card: Card) -> Found:
    count = sum(prose.words(each.text) for each in _prose(card))
    low, high = BODY_WORDS
    if not low <= count <= high:
        yield card.body_line, "size", f"{count} words without sources, {low} to {high} wanted"


def _plain(card: Card) -> Found:
    for section in _prose(card):
        for found in _MARKUP.finditer(section.text):
            line = card.line(section.offset + found.start())
            yield line, "plain", "plain sentences and lists only, no other markup"


_RULES: tuple[Callable[[Card], Found], ...] = (
    _identity, _names, _headings, _required, _sentences, _topic, _definition, _steps,
    _prohibitions, _help_blocks, _comparisons, _sourced, _size, _plain,
)  # fmt: skip


def _prose(card: Card) -> Iterable[Section]:
    return (each for each in card.sections if each.heading != "Sources")


def _claimed_twice(library: Sequence[Card]) -> Iterator[Finding]:
    owner: dict[str, str] = {}
    for card in library:
        for name in (card.title, *card.also_called):
            first = owner.setdefault(naming.key(name), card.id)
            if first != card.id:
                yield Finding(card.id, 1, "claimed", f"{name!r} is a name of {first!r} too")


if __name__ == "__main__":
    sys.exit(main())
