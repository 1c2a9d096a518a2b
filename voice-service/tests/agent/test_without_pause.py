"""Sound that never pauses, such as a television behind the caller."""

import numpy as np
import pytest
from calling import speech
from providers import Cloud, Open
from talking import RATE, Local, conversation, plan

from voice_service.agent.detecting import LONG

CHEST_PAIN = "I have crushing chest pain and I cannot breathe"
COLD = "and what helps against a cold"


def _chatter(seconds: float) -> bytes:
    """Sentences with a fifth of a second between them."""
    sound = np.frombuffer(speech("we all go away in the early morning"), dtype=np.int16)
    (loud,) = np.nonzero(np.abs(sound) > 300)
    sentence = np.pad(sound[loud[0] : loud[-1]], (0, RATE // 5))
    wanted = round(seconds * RATE)
    return bytes(np.tile(sentence, 1 + wanted // sentence.size)[:wanted].tobytes())


@pytest.mark.long
@pytest.mark.parametrize("pipeline", ["realtime", "cascade", "offline"])
async def test_an_alarm_is_given_while_sound_goes_on(
    opened: Open, cloud: Cloud, local: Local, pipeline: str
) -> None:
    for hearing in (cloud.realtime, cloud.speech):
        hearing.hears = [CHEST_PAIN, COLD]
    local.hears[:] = [CHEST_PAIN, COLD]
    local.takes[:] = [0.1, 0.1]  # shows none of them before
    resources = await opened()
    async with conversation(resources, plan(pipeline)) as talk:  # type: ignore[arg-type]
        talk.line.say(_chatter(LONG + 15))
        await talk.until(lambda: any("999" in each for each in talk.ear.sentences), LONG + 8)
        assert talk.line.speaking
        said = f"{CHEST_PAIN} {COLD}"
        await talk.until(lambda: " ".join(talk.desk.said("user")) == said, 60)
        asked = next(turn for turn in talk.desk.turns if turn.role == "user")
    assert asked.triage is not None
    assert asked.triage["level"] == "emergency"
    assert cloud.realtime.faults == []
