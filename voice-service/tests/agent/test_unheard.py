"""Speech of which no words are found: a noise is asked about once, deafness is told each time."""

import time
from collections.abc import Sequence

from livekit import rtc
from providers import Cloud, Open
from scripted_conversation import conversing
from talking import Desk, Local, conversation, plan

from voice_service.agent import phrases
from voice_service.agent.conversation import DEAF_AGAIN
from voice_service.agent.hearing import Chain, Stretch
from voice_service.agent.parts import Heard

COLD = "what helps against a cold"
DEAF = f"{phrases.CANNOT_HEAR} In an emergency, call 999."


async def test_whoever_cannot_be_heard_is_told_so_and_is_heard_as_soon_as_one_can(
    opened: Open, local: Local
) -> None:
    local.full = True
    resources = await opened()
    async with conversation(resources, plan("offline")) as talk:
        await talk.say("help")
        assert [turn.text for turn in await talk.turns(1)] == [DEAF]
        local.full, local.hears[:] = False, [COLD]
        await talk.quiet()
        await talk.say(COLD)
        turns = await talk.turns(3, within=30)
    assert turns[1].text == COLD
    assert turns[2].citations


async def test_the_number_is_that_of_the_callers_country(opened: Open, local: Local) -> None:
    local.full = True
    resources = await opened()
    async with conversation(resources, plan("offline", locale="en-US")) as talk:
        await talk.say("help")
        assert "call 911" in (await talk.turns(1))[0].text


async def test_recognition_that_is_still_made_says_so_however_often_it_is_asked(
    opened: Open, local: Local
) -> None:
    local.full, local.ready = True, False
    resources = await opened()
    async with conversation(resources, plan("offline")) as talk:
        await talk.say("I have a question")
        await talk.turns(1)
        await talk.rest(DEAF_AGAIN)
        await talk.say("I have a question")
        turns = await talk.turns(2)
    for turn in turns:
        assert turn.text == f"{phrases.GETTING_READY} In an emergency, call 999."


async def test_a_cascade_whose_every_ear_fails_says_so(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    cloud.speech.hearing = "refuses"
    local.full = True
    resources = await opened()
    async with conversation(resources, plan("cascade")) as talk:
        await talk.say(COLD)
        assert [turn.text for turn in await talk.turns(1)] == [DEAF]


async def test_a_noise_is_asked_about_once(opened: Open, local: Local) -> None:
    local.hears[:] = ["", "", ""]
    resources = await opened()
    async with conversation(resources, plan("offline")) as talk:
        for _ in range(3):
            await talk.say("ah ah ah ah ah")
            await talk.rest(0.5)
            await talk.quiet()
    assert talk.desk.said() == [phrases.NOT_CAUGHT]


async def test_it_is_not_told_again_at_once(opened: Open) -> None:
    desk = Desk()
    async with conversing(await opened(), desk) as held:
        for _ in range(3):
            stretch = Stretch(time.time() - 0.3, time.time())
            held.speech_began(stretch)
            held.speech_ended(stretch)
            held.deaf(stretch)
        await held.talk.unprotected.wait()
    assert desk.said() == [phrases.CANNOT_HEAR]


class _Broken:
    """Fails as no part should."""

    name, within = "broken", 1.0

    def begin(self, frames: Sequence[rtc.AudioFrame], began: float) -> None: ...

    def push(self, frames: Sequence[rtc.AudioFrame]) -> None: ...

    def partial(self) -> str:
        return ""

    async def hear(self, frames: Sequence[rtc.AudioFrame], began: float) -> Heard:
        raise KeyError("words of a patient")

    def forget(self, began: float) -> None: ...

    async def aclose(self) -> None: ...


class _Sound(_Broken):
    name = "sound"

    async def hear(self, frames: Sequence[rtc.AudioFrame], began: float) -> Heard:
        return Heard("I hear")


async def test_an_ear_that_fails_in_any_way_is_passed_over() -> None:
    assert await Chain([_Broken(), _Sound()]).hear([], 1.0) == Heard("I hear")
    assert await Chain([_Broken()]).hear([], 1.0) is None
