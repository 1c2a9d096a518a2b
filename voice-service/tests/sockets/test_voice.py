"""`/ws/voice`: the simple protocol, as a client sees it."""

import asyncio
import base64

import pytest
from bare_sessions import Script, Stored
from bare_sockets import OpenSockets, Sockets
from calling import calling, decoded, mp3_of, speech
from voice_parts import WORD, words_begun

from voice_service.sockets import messages
from voice_service.sockets.mp3 import DELAY

QUESTION = "what are your opening hours"
LONG = " ".join(f"word{place}" for place in range(40)) + "."


def the_turns(sockets: Sockets) -> list[tuple[str, str, bool]]:
    (stored,) = sockets.desk.stored.values()
    assert isinstance(stored, Stored)
    return stored.turns


async def test_a_question_is_answered_in_words_and_in_one_mp3(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets(Script(replies=("Yes we are. Come in at nine.",)))
    async with calling(sockets.voice) as caller:
        ready = await caller.wait_for("ready")
        assert ready["conversation_id"] == str(sockets.desk.conversation)
        await caller.say(speech(QUESTION))
        async with caller.listening():
            await caller.wait_for("audio_complete")
    assert [said["text"] for said in caller.all("user_transcript")] == ["what are your hours"]
    replies = [said["text"] for said in caller.all("assistant_transcript")]
    assert replies == ["Yes we are.", "Come in at nine."]
    chunks = caller.all("audio")
    assert [chunk["chunk_num"] for chunk in chunks] == list(range(len(chunks)))
    seconds = len(decoded(mp3_of(chunks))) / 2 / 24_000
    assert seconds == pytest.approx(7 * WORD + DELAY / 24_000, abs=0.05)
    for _, message in caller.got:
        messages.VOICE_SERVER.validate_python(message, strict=True, extra="forbid")


async def test_the_greeting_follows_ready_and_the_next_reply_starts_at_chunk_0(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets(Script(greeting="Hello there."))
    async with calling(sockets.voice) as caller, asyncio.timeout(15):
        await caller.wait_for("audio_complete")
        assert caller.names()[0] == "ready"
        assert caller.names()[1] in ("assistant_transcript", "audio")
        so_far = len(caller.got)
        await caller.say(speech(QUESTION))
        async with caller.listening():
            await caller.wait_for("audio_complete", after=so_far)
    numbers = [message["chunk_num"] for message in caller.all("audio")]
    assert numbers.count(0) == 2


async def test_what_is_said_over_the_greeting_is_heard(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets(Script(greeting=LONG))
    async with calling(sockets.voice) as caller:
        await caller.say(speech(QUESTION))
        async with caller.listening():
            await caller.wait_for("user_transcript")
            await caller.wait_for("audio_complete")


async def test_speech_sent_before_the_session_is_ready_is_heard(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets()
    async with calling(sockets.voice) as caller:
        await caller.say(speech(QUESTION) + bytes(64_000), at_once=True)
        async with caller.listening():
            await caller.wait_for("user_transcript")


@pytest.mark.parametrize("timed", [True, pytest.param(False, marks=pytest.mark.long)])
async def test_a_reply_that_is_talked_over_is_stored_as_far_as_it_was_received(
    open_sockets: OpenSockets, timed: bool
) -> None:
    sockets = await open_sockets(
        Script(heard=("first", "stop please"), replies=(LONG, "Fine."), timed=timed)
    )
    async with calling(sockets.voice) as caller:
        await caller.say(speech(QUESTION))
        async with caller.listening():
            await caller.wait_for("audio")
            await asyncio.sleep(1.5)
        await caller.say(speech("please stop talking now"))
        async with caller.listening():
            await caller.wait_for("interrupted")
            cut = caller.names().index("interrupted")
            await caller.wait_for("audio_complete", after=cut)
    received = [message for _, message in caller.got[:cut] if message["event"] == "audio"]
    heard = words_begun(decoded(mp3_of(received)), least=DELAY / 24_000)
    role, text, interrupted = the_turns(sockets)[1]
    assert (role, interrupted) == ("assistant", True)
    off = abs(len(text.split()) - heard)
    assert off == 0 if timed else off <= 2
    assert text == " ".join(LONG.split()[: len(text.split())])
    assert caller.names()[:cut].count("audio_complete") == 0


async def test_half_a_sample_waits_for_its_other_half(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    sound = speech(QUESTION)
    async with calling(sockets.voice) as caller:
        for start in range(0, len(sound), 641):
            piece = base64.b64encode(sound[start : start + 641]).decode()
            await caller.send({"event": "audio", "audio": piece, "latency_ms": 12.5})
            await asyncio.sleep(0.02)
        async with caller.listening():
            await caller.wait_for("user_transcript")
    assert caller.all("error") == []


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ("no json", "protocol"),
        ('{"event": "audio"}', "audio"),
        ('{"event": "video", "audio": ""}', "event"),
        ('{"event": "audio", "audio": "%%%"}', "base64"),
        ('{"event": "audio", "audio": "AAA"}', "base64"),
        ('{"event": "audio", "audio": "AA AA"}', "base64"),
        (b"\x00\x01", "protocol"),
    ],
)
async def test_a_wrong_message_is_named_and_the_call_goes_on(
    open_sockets: OpenSockets, sent: str | bytes, named: str
) -> None:
    sockets = await open_sockets()
    async with calling(sockets.voice) as caller:
        await caller.wait_for("ready")
        await caller.socket.send(sent)
        assert named in (await caller.wait_for("error"))["message"]
        await caller.say(speech(QUESTION))
        async with caller.listening():
            await caller.wait_for("audio_complete")


async def test_too_many_wrong_messages_close_the_socket(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    async with calling(sockets.voice) as caller:
        for _ in range(20):
            await caller.send({"event": "noise"})
        assert await caller.closed() == 1008


async def test_a_message_over_the_limit_closes_the_socket(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    async with calling(sockets.voice) as caller:
        await caller.send({"event": "audio", "audio": "A" * messages.MAX_MESSAGE})
        assert await caller.closed() == 1009


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?token=wrong", 4401),
        ("?token=one&token=two", 4401),
        ("?conversation_id=60d0a1de-2ac7-4b3b-9a8e-6b2a4c5a6f11", 4404),
        ("?conversation_id=nonsense", 4404),
    ],
)
async def test_who_may_not_come_is_told_by_the_code(
    open_sockets: OpenSockets, query: str, code: int
) -> None:
    sockets = await open_sockets()
    async with calling(f"{sockets.voice}{query}") as caller:
        assert await caller.closed() == code
        assert caller.all("error")


async def test_more_sessions_than_one_may_have_are_refused(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    sockets.desk.most = 1
    async with calling(sockets.voice) as first:
        await first.wait_for("ready")
        async with calling(sockets.voice) as second:
            assert await second.closed() == 4429


async def test_a_caller_who_signs_out_is_hung_up_on(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    async with calling(sockets.voice) as caller:
        await caller.wait_for("ready")
        sockets.desk.signed_in = False
        async with caller.listening():
            assert await caller.closed() == 4401


async def test_a_silent_socket_is_closed(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets(idle=0.6)
    async with calling(sockets.voice) as caller:
        assert await caller.closed() == 4408
    (reason,) = sockets.desk.ended.values()
    assert reason == "caller_left"


async def test_the_session_ends_with_its_socket(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    async with calling(sockets.voice) as caller:
        await caller.wait_for("ready")
    async with asyncio.timeout(5):
        while not sockets.desk.ended:
            await asyncio.sleep(0.01)
    assert list(sockets.desk.ended.values()) == ["caller_left"]
