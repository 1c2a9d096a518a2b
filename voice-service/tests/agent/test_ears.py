"""Parts that hear: each stretch of speech by itself, however quickly the next one comes."""

from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import APIConnectOptions, LanguageCode, stt
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from providers import Cloud, Open
from talking import Conversation, Local, conversation, plan

from voice_service.agent import pipelines
from voice_service.agent.ears import StreamEar
from voice_service.agent.hearing import Chain
from voice_service.agent.parts import Ear
from voice_service.agent.ports import Transcript

RATE = 24_000
CHEST_PAIN = "I have crushing chest pain and I cannot breathe"
DYING = "and I want to kill myself"


class _Values(stt.STT[Any]):
    """Hears the loudness of each frame as a word."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError("it streams")

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS, **_: Any
    ) -> stt.RecognizeStream:
        return _Stream(stt=self, conn_options=conn_options)


class _Stream(stt.RecognizeStream):
    async def _run(self) -> None:
        heard = [
            str(np.frombuffer(frame.data, dtype=np.int16).max())
            async for frame in self._input_ch
            if isinstance(frame, rtc.AudioFrame)
        ]
        data = stt.SpeechData(language=LanguageCode("en"), text=" ".join(heard))
        final = stt.SpeechEventType.FINAL_TRANSCRIPT
        self._event_ch.send_nowait(stt.SpeechEvent(type=final, alternatives=[data]))


def _sound(value: int, seconds: float = 0.2) -> rtc.AudioFrame:
    samples = np.full(round(RATE * seconds), value, dtype=np.int16)
    return rtc.AudioFrame(samples.tobytes(), RATE, 1, len(samples))


async def test_a_stretch_is_heard_although_the_next_has_begun() -> None:
    ear = StreamEar("values", _Values(), within=5.0)
    ear.begin([_sound(1)], 1.0)
    ear.begin([_sound(2)], 2.0)
    ear.push([_sound(3)])
    first = await ear.hear([_sound(1)], 1.0)
    second = await ear.hear([_sound(2), _sound(3)], 2.0)
    await ear.aclose()
    assert (first.text, second.text) == ("1", "2 3")


async def test_a_stretch_that_another_part_heard_is_let_go() -> None:
    ear, other = StreamEar("one", _Values(), within=5.0), StreamEar("other", _Values(), within=5.0)
    chain = Chain([ear, other])
    other.begin([_sound(9)], 1.0)
    heard = await chain.hear([_sound(1)], 1.0)
    again = await other.hear([_sound(4)], 1.0)
    await chain.aclose()
    assert heard is not None
    assert (heard.text, again.text) == ("1", "4")


async def test_a_speech_to_speech_model_hears_each_stretch_whole(
    opened: Open, cloud: Cloud
) -> None:
    cloud.realtime.hears = ["oh seven", "seven hundred"]
    resources = await opened()
    shop = pipelines.Shop(plan("realtime"), resources, list)
    ear: Ear | None = pipelines.EARS["realtime"](shop)
    assert ear is not None
    await shop.line().ready.wait()
    ear.begin([_sound(1)], 1.0)
    ear.begin([_sound(2)], 2.0)
    ear.push([_sound(3)])
    heard = [
        (await ear.hear([_sound(1)], 1.0)).text,
        (await ear.hear([_sound(2), _sound(3)], 2.0)).text,
    ]
    await shop.line().aclose()
    assert heard == ["oh seven", "seven hundred"]
    assert [_values(pcm) for pcm in cloud.realtime.committed] == [{1}, {2, 3}]
    assert cloud.realtime.faults == []


def _values(pcm: bytes) -> set[int]:
    return {int(value) for value in np.unique(np.frombuffer(pcm, dtype=np.int16))}


async def test_what_is_said_over_an_alarm_reaches_the_gate_while_it_is_spoken(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    cloud.speech.hears = [CHEST_PAIN, DYING]
    resources = await opened()
    async with conversation(resources, plan("cascade")) as talk:
        await talk.say(CHEST_PAIN)
        await talk.speaking()
        await talk.say(DYING)
        await talk.until(lambda: any(DYING in each.text for each in _shown(talk)))
        until_then = len(talk.ear.replies[0])
        await talk.until(lambda: any("Samaritans" in each for each in local.said), within=60)
    assert len(talk.ear.replies[0]) > until_then + RATE * 2


def _shown(talk: Conversation) -> list[Transcript]:
    return talk.transcripts("user", final=False)
