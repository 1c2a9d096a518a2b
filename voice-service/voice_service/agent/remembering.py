"""What a reply is told of what was said before the turns that it is given."""

from collections.abc import Sequence

from assistant import recall
from assistant.turns import Turn


def earlier(summary: str | None, history: Sequence[Turn], given: Sequence[Turn]) -> str:
    """Sums up all before `given`, which are some of the last turns of `history`.

    `summary` is of what lies before `history`.
    """
    first = next((place for place, turn in enumerate(history) if given and turn is given[0]), 0)
    said = [
        recall.Said(place, "", turn.content)
        for place, turn in enumerate(history[:first])
        if turn.role == "user"
    ]
    since = recall.told(recall.merge((), said)) if said else ""
    return "\n".join(part for part in (summary, since) if part)
