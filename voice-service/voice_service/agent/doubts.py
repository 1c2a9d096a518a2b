"""What of the caller's words is not sure: asked about before it is answered, or said back."""

from assistant.safety import Level
from voice_service.agent import listening, phrases
from voice_service.agent.parts import Heard

SURE = 0.5
"""The confidence below which words are said back before they are answered."""
CERTAIN = 0.8
"""The confidence from which a phrase that a second ear believes it heard counts for nothing."""
_CALM = frozenset({Level.NONE, Level.ROUTINE})


class Doubts:
    """One session's. The stretches of a turn are `heard`; then the turn is `meant`, and asked
    about."""

    def __init__(self) -> None:
        self._stretches: list[Heard] = []
        self._doubted = ""
        self.said_back = ""
        """A sentence that the answer begins with, once."""

    def heard(self, heard: Heard) -> None:
        """A stretch of the turn."""
        self._stretches.append(heard)

    def meant(self, text: str) -> str:
        """The turn's words, with those that it agrees to."""
        if not self._doubted or listening.denies(text):
            return text
        if listening.agrees(text):
            return self._doubted
        return f"{self._doubted}. {text}" if listening.agrees_and_more(text) else text

    def written(self, text: str) -> str:
        """What a turn meant that came in writing: none of it is asked about."""
        meant, self._doubted = self.meant(text), ""
        return meant

    def question(self, text: str, level: Level) -> str | None:
        """What to ask instead of answering; `level` is the gate's of what was meant."""
        meant, doubted, self._doubted = self.meant(text), self._doubted, ""
        stretches, self._stretches = self._stretches, []
        self.said_back = ""
        if level not in _CALM:
            return None
        if doubted and listening.denies(text):
            return phrases.SAY_IT_AGAIN
        if doubted and listening.agrees(text):
            return None
        alarming = [
            words for heard in stretches if _sure(heard) < CERTAIN for words in heard.alarming
        ]
        unsure = any(_sure(heard) < SURE for heard in stretches)
        if alarming or unsure:
            self._doubted = alarming[0] if alarming else meant
            return phrases.DID_YOU_SAY.format(words=self._doubted)
        if said := [words for heard in stretches for words in heard.read_back]:
            self.said_back = phrases.READ_BACK.format(words=", ".join(dict.fromkeys(said)))
        return None


def _sure(heard: Heard) -> float:
    return 1.0 if heard.confidence is None else heard.confidence
