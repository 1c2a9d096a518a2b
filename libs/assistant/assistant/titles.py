"""A title for a conversation, made of its first question."""

import re
from collections import Counter
from collections.abc import Sequence

LONGEST = 60
"""Characters of a title made here."""

HARD_TIME = "A hard time"
"""After a crisis: a list of conversations may be seen by others, so it repeats no word of it."""

_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|thanks?(?: you)?|please|"
    r"ok(?:ay)?|so|well|um|sorry|there|doctor|medbot|everyone|"
    r"(?:i have|i've got|just) a (?:quick )?question)"
    r"\b[\s,.!:;-]*)+",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")


def make(question: str, level: str, topics: Sequence[str] = ()) -> str:
    """The question in at most `LONGEST` characters; else the topic most cited, else its start.

    `level` is the gate's verdict on the question; `topics` are the titles of the cards that the
    reply cites. The answer is never empty.
    """
    if level == "crisis":
        return HARD_TIME
    text = " ".join(_GREETING.sub("", " ".join(question.split())).split())
    sentences = [s.strip() for s in _SENTENCE.findall(text) if any(c.isalnum() for c in s)]
    asked = next((s for s in sentences if s.endswith("?")), None)
    for sentence in (asked, *sentences[:1]):
        if sentence and len(tidy(sentence)) <= LONGEST:
            return tidy(sentence)
    if topics:
        return tidy(Counter(topics).most_common(1)[0][0])[:LONGEST]
    return _cut(tidy(asked or text)) or "Conversation"


def tidy(text: str) -> str:
    """One line without quotation marks around it or an end mark, with a capital at its start."""
    line = " ".join(text.split()).strip(" \"'“”«»*#`").rstrip(" .,:;!?-")
    return line[:1].upper() + line[1:]


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    head, _, _ = text[:LONGEST].rpartition(" ")
    return (head or text[: LONGEST - 1]).rstrip(" .,:;!?-") + "…"
