"""The safety gate in speech: on words that are still coming, and without saying a thing twice."""

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass

from assistant import safety
from assistant.safety import Assessment, Level
from assistant.turns import Turn
from voice_service.agent import wording

AT_ONCE = frozenset({Level.EMERGENCY, Level.CRISIS})
"""Levels whose words are said before anything else and are not barged over."""
LATEST = 2_000
"""Characters of words that are still coming which are looked at; all are once they are whole."""
AGAIN_AFTER = 120.0
"""Seconds for which what was said is not said again."""

Assess = Callable[[str, Sequence[Turn], str], Assessment]
_CALM = Assessment(Level.NONE, (), None, ())


@dataclass(slots=True)
class _Seen:
    rules: frozenset[str] = frozenset()
    text: str = ""


class Gate:
    """One session's gate."""

    def __init__(
        self,
        locale: str,
        history: Callable[[], Sequence[Turn]],
        *,
        assess: Assess = safety.assess,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._locale, self._history = locale, history
        self._assess, self._clock = assess, clock
        self._said: dict[Hashable, float] = {}
        self._seen = _Seen()

    def partly(self, text: str) -> Assessment | None:
        """The verdict on words that are still coming, once they have fired the same rule twice.

        The next words may take it back ("I have no chest" … "pain"); a look later they stand.
        Several looks a second are at the last of a long turn alone.
        """
        verdict = self._verdict(text[-LATEST:])
        rules = frozenset(fired.id for fired in verdict.rules)
        before, self._seen = self._seen, _Seen(rules, text)
        if verdict.level in AT_ONCE and rules & before.rules and text != before.text:
            return verdict
        return None

    def whole(self, text: str, before: Sequence[Turn] = ()) -> Assessment:
        """The verdict on a finished turn; `before` was said before it and is not history yet."""
        self._seen = _Seen()
        return self._verdict(text, before) if text.strip() else _CALM

    def _verdict(self, text: str, before: Sequence[Turn] = ()) -> Assessment:
        return self._assess(text, [*self._history(), *before], self._locale)

    def news(self, verdict: Assessment) -> str | None:
        """What the verdict says, unless that was said a moment ago.

        It was when one of its rules was spoken of, and nothing is worse now and no number is new:
        words that go on fire more rules for the same thing, and a crisis may become an emergency.
        Then only the sentences that are new are said.
        """
        if not verdict.message:
            return None
        rules = {fired.id for fired in verdict.rules}
        rest = {verdict.level, *(resource.number for resource in verdict.resources)}
        sentences = wording.sentences(verdict.message)
        if any(map(self._told, rules)):
            worse = not all(map(self._told, rest))
            sentences = [each for each in sentences if worse and not self._told(each)]
        self._said |= dict.fromkeys([*rules, *rest, *sentences], self._clock())
        return " ".join(sentences) or None

    def _told(self, what: Hashable) -> bool:
        return self._clock() - self._said.get(what, -AGAIN_AFTER) < AGAIN_AFTER


def triage(verdict: Assessment) -> dict[str, object] | None:
    """A verdict as it is stored with the caller's turn; None when all is calm."""
    return asdict(verdict) if verdict.level is not Level.NONE else None
