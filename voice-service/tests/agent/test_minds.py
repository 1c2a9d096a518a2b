"""Parts that answer: whoever fails, and however, the caller gets words."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from providers import Cloud, Open
from realtime_server import Call
from talking import conversation, plan

from assistant.turns import Turn
from voice_service.agent.minds import BROKEN_OFF, NO_ANSWER, Answers
from voice_service.agent.parts import Mind, Question, Word
from voice_service.agent.rhythm import Fillers, Rhythm, Shelf
from voice_service.agent.voices import Speech

ASKED = Question("what helps against a cold", (), "none")


class _Rests:
    """Answers, or fails in its own way after some words."""

    within = 1.0

    def __init__(self, name: str, words: str = "Rest.", error: Exception | None = None) -> None:
        self.name, self._words, self._error = name, words, error

    async def answer(self, question: Question) -> AsyncGenerator[Word]:
        if self._words:
            yield self._words
        if self._error is not None:
            raise self._error

    def note(self, turn: Turn, *, seconds: float | None = None) -> None: ...

    async def aclose(self) -> None: ...


async def _answer(*minds: Mind) -> list[Word]:
    fillers = Fillers((), Speech((), sample_rate=24_000), Shelf())
    answers = Answers(minds, fillers, Rhythm())
    return [word async for word in answers.reply(ASKED)]


@pytest.mark.parametrize("error", [KeyError("words of a patient"), OSError(), TimeoutError()])
async def test_a_mind_that_fails_in_any_way_is_passed_over(error: Exception) -> None:
    assert await _answer(_Rests("broken", "", error), _Rests("sound")) == ["Rest."]
    assert await _answer(_Rests("broken", "Drink ", error), _Rests("sound")) == [
        "Drink ", BROKEN_OFF, "Rest.",
    ]  # fmt: skip
    assert await _answer(_Rests("broken", "", error)) == [NO_ANSWER]


class _Broken:
    """A library that cannot be searched."""

    def search(self, *_: Any, **__: Any) -> Any:
        raise OSError("words of a patient")


async def test_a_speech_to_speech_model_is_told_of_a_tool_that_breaks(
    opened: Open, cloud: Cloud
) -> None:
    cloud.realtime.hears = ["what helps against a cold"]
    cloud.realtime.says = [Call("search_library", {"query": "cold"}), "I cannot look that up."]
    resources = await opened()
    library: Any = _Broken()
    broken = replace(resources.assistant, library=library)
    async with conversation(replace(resources, assistant=broken), plan("realtime")) as talk:
        await talk.say("what helps against a cold")
        turns = await talk.turns(2)
    assert turns[1].text == "I cannot look that up."
