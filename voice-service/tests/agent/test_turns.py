"""Taking turns: interruptions, back-channels, silence, time."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import voice_parts
from model_server import ModelServer, Say
from providers import Cloud, Open
from talking import Local, conversation, plan

from contracts.voice import MAX_SPOKEN, Changes, Earlier, VoiceSettings
from voice_service.agent import phrases
from voice_service.agent.ports import Transcript
from voice_service.agent.rhythm import Rhythm

LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."
CHEST_PAIN = "I have crushing chest pain and I cannot breathe"
LONGER = f"{LONG} {LONG} {LONG}"


def _heard_words(sound: bytes) -> int:
    return voice_parts.words_begun(sound)


async def test_what_is_stored_of_an_interrupted_answer_is_what_was_heard(
    opened: Open, cloud: Cloud
) -> None:
    cloud.realtime.hears = ["tell me a story", "stop please, that is enough"]
    cloud.realtime.says = [LONGER, "Of course."]
    resources = await opened()
    async with conversation(resources, plan("realtime")) as talk:
        await talk.say("tell me a story")
        await talk.speaking()
        await asyncio.sleep(2.0)
        await talk.say("stop please, that is enough")
        turns = await talk.turns(4)
    assert turns[1].interrupted
    stored = len(turns[1].text.split())
    assert abs(stored - _heard_words(talk.ear.replies[0])) <= 2
    assert cloud.realtime.truncated
    assert turns[3].text == "Of course."


@pytest.mark.long
async def test_the_same_in_a_cascade(opened: Open, cloud: Cloud) -> None:
    cloud.speech.hears = ["tell me a story", "stop please, that is enough"]
    cloud.model = ModelServer([[Say(LONGER)], [Say("Of course.")]])
    resources = await opened()
    async with conversation(resources, plan("cascade")) as talk:
        await talk.say("tell me a story")
        await talk.speaking()
        await asyncio.sleep(2.0)
        await talk.say("stop please, that is enough")
        turns = await talk.turns(4)
    assert turns[1].interrupted
    stored = len(turns[1].text.split())
    assert abs(stored - _heard_words(talk.ear.replies[0])) <= 2


@pytest.mark.parametrize("slow", [0.0, pytest.param(0.95, marks=pytest.mark.long)])
async def test_an_answer_is_recorded_while_it_is_heard(
    opened: Open, cloud: Cloud, slow: float
) -> None:
    cloud.realtime.hears = ["tell me a story"]
    cloud.realtime.says = [LONG]
    cloud.realtime.delay = slow
    resources = await opened()
    async with conversation(resources, plan("realtime")) as talk:
        await talk.say("tell me a story")
        await talk.speaking()
        await talk.until(lambda: len(talk.desk.open) >= 3)
        heard = voice_parts.words_begun(talk.ear.replies[-1])
        asked, first, second = talk.desk.open[:3]
        turns = await talk.turns(2)
    assert (asked.seq, asked.role, asked.text) == (1, "user", "tell me a story")
    assert (first.seq, first.role, turns[1].seq, turns[1].open) == (2, "assistant", 2, False)
    assert 0 < len(first.text.split()) < len(second.text.split()) <= heard + 2
    assert turns[1].text.startswith(second.text)
    assert turns[1].text.removeprefix("One moment, please. ") == LONG


async def test_a_question_in_two_pieces_is_kept_as_it_was_shown(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    """The second one began before the answer to the first, and its words were found during that."""
    local.hears[:] = ["what helps against a cold", "and the flu"]
    local.takes[:] = [0.0, 2.5]
    cloud.model = ModelServer([[Say(LONGER)], [Say("Rest.")]])
    resources = await opened(stt_provider="offline", voice_endpointing_min=0.7)
    async with conversation(resources, plan("cascade")) as talk:
        await talk.say("what helps against a cold")
        await asyncio.sleep(0.2)
        await talk.say("and the flu")
        turns = await talk.turns(4, within=30)
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "assistant"]
    assert turns[1].interrupted
    assert turns[1].started_at > turns[2].started_at
    first = {s.text: at for s, at in zip(talk.shown, talk.moments, strict=True)
             if isinstance(s, Transcript) and s.role == "user"}  # fmt: skip
    heard_at = talk.ear.heard_after(first[turns[0].text])
    assert heard_at is not None
    assert first[turns[0].text] + heard_at < first[turns[2].text]


async def test_a_back_channel_makes_no_turn_and_the_sentence_goes_on(
    opened: Open, cloud: Cloud
) -> None:
    cloud.realtime.hears = ["tell me a story", "Okay, yeah."]
    cloud.realtime.says = [LONGER]
    resources = await opened()
    async with conversation(resources, plan("realtime")) as talk:
        await talk.say("tell me a story")
        await talk.speaking()
        await asyncio.sleep(1.0)
        await talk.say("okay yeah okay")
        turns = await talk.turns(2, within=40)
    assert [turn.role for turn in turns] == ["user", "assistant"]
    assert turns[1].text == LONGER
    assert not turns[1].interrupted


@pytest.mark.long
async def test_noise_pauses_the_agent_and_it_goes_on(opened: Open, cloud: Cloud) -> None:
    cloud.realtime.hears = ["tell me a story", ""]
    cloud.realtime.says = [LONGER]
    resources = await opened()
    async with conversation(resources, plan("realtime")) as talk:
        await talk.say("tell me a story")
        await talk.speaking()
        await asyncio.sleep(1.0)
        await talk.say("ah ah ah ah ah")
        turns = await talk.turns(2, within=40)
    assert talk.ear.paused
    assert talk.ear.resumed
    assert turns[1].text == LONGER


async def test_a_number_is_waited_for(opened: Open, cloud: Cloud) -> None:
    cloud.speech.hears = ["my number is oh seven seven", "nine one two three four"]
    resources = await opened()
    async with conversation(resources, plan("cascade")) as talk:
        await talk.say("my number is oh seven seven")
        await asyncio.sleep(0.9)
        await talk.say("nine one two three four")
        turns = await talk.turns(2)
    assert turns[0].text == "my number is oh seven seven nine one two three four"


async def test_long_silence_gets_one_question_then_a_goodbye(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    resources = await opened(voice_timeout=2.0)
    async with conversation(resources, plan("offline")) as talk:
        async with asyncio.timeout(40):
            assert await talk.supervisor.closed() == "silence"
    assert "still there" in talk.desk.said()[0]
    assert "goodbye" in talk.desk.said()[1]
    assert talk.desk.beats[-1].ended == "silence"


async def test_the_end_of_the_longest_duration_is_announced(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    resources = await opened()
    ends_at = datetime.now(UTC) + timedelta(seconds=7)
    async with conversation(resources, plan("offline", ends_at=ends_at)) as talk:
        async with asyncio.timeout(40):
            assert await talk.supervisor.closed() == "too_long"
    assert "about to end" in talk.desk.said()[0]
    assert "Our time is up" in talk.desk.said()[1]


async def test_a_typed_message_is_answered_aloud(opened: Open, cloud: Cloud) -> None:
    resources = await opened()
    async with conversation(resources, plan("cascade")) as talk:
        await talk.supervisor.say_typed("What helps against a cold?")
        turns = await talk.turns(2)
    assert turns[0].text == "What helps against a cold?"
    assert turns[1].text.startswith("Rest and drink")


async def test_a_typed_message_that_is_too_long_is_refused_aloud(
    opened: Open, cloud: Cloud
) -> None:
    resources = await opened()
    async with conversation(resources, plan("cascade")) as talk:
        await talk.supervisor.say_typed("what helps " * 800)
        turns = await talk.turns(1)
        await talk.quiet()
        await talk.supervisor.say_typed("x" * MAX_SPOKEN)
        await talk.turns(3)
    assert turns[0].text == phrases.TOO_MUCH
    assert len(cloud.model.requests) == 1
    assert turns[1].text == "x" * MAX_SPOKEN


async def test_what_changes_elsewhere_reaches_a_running_session(opened: Open, cloud: Cloud) -> None:
    cloud.speech.hears = ["what did I write"]
    resources = await opened()
    async with conversation(resources, plan("cascade")) as talk:
        written = Earlier(
            message_id=uuid4(), seq=7, role="user", channel="chat", content="I wrote of my knee."
        )
        talk.desk.news.put_nowait(
            Changes(
                cursor="1",
                instructions="Always answer in rhyme.",
                voice_settings=VoiceSettings(voice_id="cedar", temperature=0.3),
                messages=(written,),
            )
        )
        await asyncio.sleep(0.2)
        await talk.say("what did I write")
        await talk.turns(2)
        talk.desk.news.put_nowait(Changes(cursor="2", end="conversation_deleted"))
        assert await talk.supervisor.closed() == "conversation_deleted"
    asked = cloud.model.requests[0]
    assert any("my knee" in message["content"] for message in asked["messages"])
    assert "Always answer in rhyme." in asked["messages"][0]["content"]
    assert asked["temperature"] == 0.3
    assert cloud.speech.said[-1]["voice"] == "cedar"


async def test_changes_are_asked_for_from_where_the_plan_was_made(
    opened: Open, cloud: Cloud
) -> None:
    async with conversation(await opened(), plan("cascade", cursor="3.14.15")) as talk:
        talk.desk.news.put_nowait(Changes(cursor="4.14.15"))
        await talk.until(lambda: len(talk.desk.cursors) >= 2)
    assert talk.desk.cursors == ["3.14.15", "4.14.15"]


def test_what_began_after_an_absence_did_not_wait_for_its_end() -> None:
    rhythm = Rhythm()
    rhythm.sound(10.0)
    rhythm.begins(10.0)
    rhythm.paused(8.5)
    assert -11.0 < rhythm.silent_for() < 0


@pytest.mark.long
async def test_what_is_said_goes_on_after_a_connection_was_lost(opened: Open, cloud: Cloud) -> None:
    async with conversation(await opened(), plan("offline")) as talk:
        await talk.supervisor.say_typed("What helps against a cold?")
        await talk.speaking()
        await talk.rest(1)
        await talk.away(8)
        turns = await talk.turns(2, within=40)
    assert not turns[1].interrupted
    assert turns[1].text.endswith("Shall I go on?")


@pytest.mark.long
async def test_a_greeting_is_spoken_once_a_conversation(opened: Open, cloud: Cloud) -> None:
    cloud.speech.hears = ["what helps against a cold"]
    resources = await opened()
    async with conversation(resources, plan("cascade", greeted=True, next_seq=5)) as talk:
        await talk.say("what helps against a cold")
        turns = await talk.turns(2)
    assert [turn.seq for turn in turns] == [5, 6]
    assert turns[0].role == "user"


async def test_doubtful_words_are_said_back_before_they_are_answered(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    local.hears[:] = ["what helps against a cold", "yes that is right"]
    local.sure[:] = [0.2, 0.9]
    resources = await opened()
    async with conversation(resources, plan("offline")) as talk:
        await talk.say("what helps against a cold")
        await talk.turns(2)
        await talk.say("yes that is right")
        turns = await talk.turns(4, within=30)
    assert (
        turns[1].text == "I am not sure that I understood. Did you say: what helps against a cold?"
    )
    assert turns[3].citations
