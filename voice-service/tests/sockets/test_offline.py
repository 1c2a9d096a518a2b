"""With offline speech, whose words have times, what is stored is what was received, to the word."""

import asyncio

import pytest
from bare_sessions import Script
from bare_sockets import OpenSockets
from calling import calling, decoded, mp3_of, speech
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT

from voice_service.agent.voices import PluginVoice
from voice_service.offline.speech import OfflineTTS
from voice_service.sockets.mp3 import DELAY

REPLY = (
    "Rest and drink plenty of water. Take paracetamol for aches or fever, as the packet says. "
    "Keep warm, sleep as much as you can, and stay at home until the fever is gone."
)


@pytest.mark.parametrize("after", [1.2, 2.6])
async def test_a_cut_reply_is_stored_to_the_word(open_sockets: OpenSockets, after: float) -> None:
    script = Script(heard=("first", "stop"), replies=(REPLY, "Fine."), voice=OfflineTTS(None))
    sockets = await open_sockets(script)
    async with calling(sockets.voice) as caller:
        await caller.say(speech("what helps against a cold"))
        async with caller.listening():
            await caller.wait_for("audio")
            await asyncio.sleep(after)
        await caller.say(speech("please stop talking now"))
        async with caller.listening():
            await caller.wait_for("interrupted")
    cut = caller.names().index("interrupted")
    received = mp3_of([message for _, message in caller.got[:cut] if message["event"] == "audio"])
    seconds = len(decoded(received)) / 2 / 24_000 - DELAY / 24_000
    (stored,) = sockets.desk.stored.values()
    heard = [word for word, begins in stored.spoken[0] if begins < seconds]  # of this very sound
    role, text, interrupted = stored.turns[1]
    assert (role, interrupted) == ("assistant", True)
    assert text == "".join(heard).strip()
    assert 3 < len(heard) < len(REPLY.split())


async def test_words_of_two_sentences_keep_the_blank_between_them() -> None:
    voice = PluginVoice("offline", OfflineTTS(None), within=5)
    words = [
        str(word)
        for sentence in ("Hello there.", "How can I help?")
        async for frame in voice.say(sentence, within=5)
        for word in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])
    ]
    assert "".join(words).strip() == "Hello there. How can I help?"


async def test_a_word_is_told_before_its_sentence_is_over() -> None:
    seconds, told = 0.0, list[float]()
    async with OfflineTTS(None).stream() as stream:
        stream.push_text(", and ".join(["keep warm and drink plenty of water"] * 6))
        stream.end_input()
        async for made in stream:
            for word in made.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, []):
                told.append(seconds - float(word.start_time))
            seconds += made.frame.duration
    assert len(told) > 40
    assert max(told) < 2.0 < seconds - 5
