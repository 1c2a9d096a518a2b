"""Words that the safety gate has answered while they were coming, and that are never found."""

import time
from collections.abc import Callable

import pytest
from livekit.agents.llm import ChatMessage
from providers import Cloud, Open
from scripted_conversation import conversing, hear
from talking import Desk

from voice_service.agent.conversation import Conversation
from voice_service.agent.hearing import Stretch
from voice_service.agent.parts import Heard

COLD = "what helps against a cold"
CHEST_PAIN = "I have crushing chest pain and I"

End = Callable[[Conversation, Stretch], None]


def _begin(held: Conversation, words: str, ago: float = 1.5) -> Stretch:
    """Somebody is saying this, and goes on."""
    stretch = Stretch(time.time() - ago, time.time())
    held.speech_began(stretch)
    for place, _ in enumerate(words.split()):
        held.partly(" ".join(words.split()[: place + 1]), stretch)
    return stretch


def _told(desk: Desk) -> list[tuple[str, object]]:
    """What the caller said, each with what the gate said of it."""
    turns = [turn for turn in desk.turns if turn.role == "user"]
    return [(turn.text, turn.triage and turn.triage["level"]) for turn in turns]


def _hangs_up(held: Conversation, stretch: Stretch) -> None:
    """Nothing more is heard."""


END = pytest.mark.parametrize("end", [_hangs_up, Conversation.unheard, Conversation.deaf])


@END
async def test_they_stand_for_what_was_said(opened: Open, cloud: Cloud, end: End) -> None:
    desk = Desk()
    async with conversing(await opened(), desk) as held:
        end(held, _begin(held, CHEST_PAIN))
    assert _told(desk) == [(CHEST_PAIN, "emergency")]


@END
async def test_they_stand_behind_what_was_found(opened: Open, cloud: Cloud, end: End) -> None:
    desk = Desk()
    async with conversing(await opened(), desk) as held:
        await hear(held, COLD)
        end(held, _begin(held, CHEST_PAIN))
    assert _told(desk) == [(f"{COLD} {CHEST_PAIN}", "emergency")]


@END
async def test_they_stand_after_a_turn_that_ends_before_them(
    opened: Open, cloud: Cloud, end: End
) -> None:
    desk = Desk()
    async with conversing(await opened(), desk) as held:
        await hear(held, COLD)
        end(held, _begin(held, CHEST_PAIN))
        await held.turn_completed(ChatMessage(role="user", content=[COLD]))
    assert _told(desk) == [(COLD, "routine"), (CHEST_PAIN, "emergency")]


async def test_they_stand_where_two_bring_the_same_alarm_and_the_first_is_found_to_be_none(
    opened: Open, cloud: Cloud
) -> None:
    desk = Desk()
    async with conversing(await opened(), desk) as held:
        first, second = _begin(held, CHEST_PAIN, ago=3.0), _begin(held, CHEST_PAIN)
        held.heard(Heard("I have crushed the chess pawn", 0.9), first)
        held.unheard(second)
    assert _told(desk) == [(f"I have crushed the chess pawn {CHEST_PAIN}", "emergency")]


async def test_a_noise_that_sounds_like_words_adds_none_to_an_emergency(
    opened: Open, cloud: Cloud
) -> None:
    desk = Desk()
    async with conversing(await opened(), desk) as held:
        await hear(held, CHEST_PAIN)
        held.unheard(_begin(held, "oh oh oh"))
    assert _told(desk) == [(CHEST_PAIN, "emergency")]
