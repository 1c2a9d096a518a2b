"""What a call remembers beyond the turns that an answer is given, and what calls share."""

import asyncio
import json
import uuid

from providers import Cloud, Open
from talking import conversation, plan

from voice_service.agent import phrases

SUMMARY = "Health: I had my gall bladder removed in 2012."
ALLERGY = "My name is Ann and I am allergic to penicillin."


def _history(count: int) -> list[dict[str, object]]:
    said = [ALLERGY, *(f"Tell me about the {n}th cold." for n in range(1, count // 2))]
    return [
        {
            "message_id": uuid.uuid4(), "seq": 2 * n + part + 1, "channel": "chat",
            "role": ("user", "assistant")[part], "content": (words, "Rest.")[part],
        }
        for n, words in enumerate(said) for part in (0, 1)
    ]  # fmt: skip


async def test_an_answer_knows_what_no_longer_goes_into_it_as_it_stands(
    opened: Open, cloud: Cloud
) -> None:
    resources = await opened()
    cloud.speech.hears = ["What helps against a cold?"]
    wanted = plan("cascade", history=_history(60), summary=SUMMARY)
    async with conversation(resources, wanted) as talk:
        await talk.say("What helps against a cold?")
        await talk.turns(2)
    messages = cloud.model.requests[-1]["messages"]
    (told,) = [one["content"] for one in messages if "<earlier>" in one["content"]]
    assert "gall bladder" in told
    assert "allergic to penicillin" in told
    as_it_stands = json.dumps([one for one in messages if "<earlier>" not in one["content"]])
    assert "penicillin" not in as_it_stands
    assert len(messages) < 50


async def test_what_passes_the_time_is_rendered_once_for_all_calls(
    opened: Open, cloud: Cloud
) -> None:
    resources = await opened()

    def rendered() -> list[str]:
        return [one["input"] for one in cloud.speech.said if one["input"] in phrases.FILLERS]

    for _ in range(3):
        async with conversation(resources, plan("cascade")), asyncio.timeout(5):
            while len(rendered()) < len(phrases.FILLERS):
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
    assert rendered() == list(phrases.FILLERS)
    async with conversation(resources, plan("cascade", voice_settings={"voice_id": "cedar"})):
        async with asyncio.timeout(5):
            while len(rendered()) < 2 * len(phrases.FILLERS):
                await asyncio.sleep(0.02)
