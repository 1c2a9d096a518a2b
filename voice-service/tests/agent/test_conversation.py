"""A session greets, hears and answers, in each pipeline."""

from providers import Cloud, Open
from talking import Local, conversation, plan


async def test_a_cascade_greets_hears_and_answers(opened: Open, cloud: Cloud) -> None:
    resources = await opened()
    cloud.speech.hears = ["I have a cold, what helps?"]
    async with conversation(resources, plan("cascade", greeted=False)) as talk:
        await talk.turns(1)
        await talk.say("I have a cold, what helps?")
        turns = await talk.turns(3)
    assert [turn.role for turn in turns] == ["assistant", "user", "assistant"]
    assert "Medbot" in turns[0].text
    assert turns[1].text == "I have a cold, what helps?"
    assert turns[2].text.startswith("Rest and drink plenty of water.")
    assert [turn.seq for turn in turns] == [1, 2, 3]
    assert turns[2].latency.first_audio_ms is not None
    assert cloud.speech.faults == []
    assert talk.desk.beats[-1].ended == "asked"


async def test_a_speech_to_speech_model_answers_with_its_own_voice(
    opened: Open, cloud: Cloud
) -> None:
    resources = await opened()
    cloud.realtime.hears = ["What helps against a cold?"]
    cloud.realtime.says = ["Rest, drink, and sleep well tonight."]
    async with conversation(resources, plan("realtime")) as talk:
        await talk.say("What helps against a cold?")
        turns = await talk.turns(2)
    assert [turn.text for turn in turns] == [
        "What helps against a cold?",
        "Rest, drink, and sleep well tonight.",
    ]
    assert cloud.realtime.faults == []
    assert turns[1].usage


async def test_offline_needs_nobody(opened: Open, cloud: Cloud, local: Local) -> None:
    resources = await opened(openai_api_key=None, openai_base_url=None)
    local.hears[:] = ["what helps against a cold"]
    async with conversation(resources, plan("offline", greeted=False)) as talk:
        await talk.turns(1)
        await talk.say("what helps against a cold")
        turns = await talk.turns(3, within=25)
    assert "quiet room" in turns[0].text
    assert turns[1].text == "what helps against a cold"
    assert turns[2].citations
    assert cloud.speech.said == []
