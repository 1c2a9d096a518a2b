"""The session socket: start, stop, words, sound, and who has the session when sockets change."""

import asyncio

import pytest
from bare_sessions import TOKEN, Script
from bare_sockets import OpenSockets, Sockets
from calling import Caller, calling, pcm_of, speech
from voice_parts import words_begun

from voice_service.agent import pace
from voice_service.sessions.models import SessionTaken
from voice_service.sockets import messages
from voice_service.sockets.desk import Found
from voice_service.sockets.held import Held
from voice_service.sockets.refusals import MAX_WRONG, NotStarted

QUESTION = "what are your opening hours"
LONG = " ".join(f"word{place}" for place in range(40)) + "."
START = {"type": "control", "action": "start"}
STOP = {"type": "control", "action": "stop"}


def statuses(caller: Caller) -> list[tuple[str, str]]:
    return [(said["status"], said["agent_state"]) for said in caller.all("status")]


async def until_active(caller: Caller) -> None:
    async with asyncio.timeout(10):
        while not any(status == "active" for status, _ in statuses(caller)):
            caller.changed.clear()
            await caller.changed.wait()


async def until_ended(sockets: Sockets) -> str:
    async with asyncio.timeout(10):
        while not sockets.desk.ended:
            await asyncio.sleep(0.01)
    (reason,) = sockets.desk.ended.values()
    return reason


async def test_a_session_is_started_spoken_to_and_stopped(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    session_id = sockets.desk.make()
    async with calling(sockets.session(session_id), session=True) as caller:
        await caller.wait_for("status")
        await caller.send(START)
        await caller.say(speech(QUESTION))
        async with caller.listening():
            await caller.wait_for("audio")
            await asyncio.sleep(2)
        await caller.send(STOP)
        assert await caller.closed() == 1000
    assert statuses(caller)[0] == ("created", "initializing")
    assert ("active", "speaking") in statuses(caller)
    assert statuses(caller)[-1][0] == "ended"
    said = [(one["role"], one["text"]) for one in caller.all("transcript") if one["final"]]
    assert said == [
        ("user", "what are your hours"),
        ("assistant", "We are open from nine to five."),
    ]
    assert words_begun(pcm_of(caller.all("audio"))) == 7
    assert sockets.desk.ended[session_id] == "asked"
    for _, message in caller.got:
        messages.SESSION_SERVER.validate_python(message, strict=True, extra="forbid")


async def test_typed_words_are_answered_aloud(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    async with calling(sockets.session(sockets.desk.make()), session=True) as caller:
        await caller.send(START)
        await caller.send({"type": "text", "text": "when do you open"})
        await caller.wait_for("audio")
    assert caller.all("error") == []


async def test_whatever_comes_behind_typed_words_waits_for_no_start(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets()
    sockets.desk.lets_join.clear()
    async with calling(sockets.session(sockets.desk.make()), session=True) as caller:
        await caller.send(START)
        await caller.send({"type": "text", "text": "when do you open"})
        await caller.send(STOP)
        assert await caller.closed() == 1000
    sockets.desk.fails = SessionTaken()
    sockets.desk.lets_join.set()


async def test_typed_words_outlive_their_socket(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets(grace=10.0)
    sockets.desk.lets_join.clear()
    session_id = sockets.desk.make()
    async with calling(sockets.session(session_id), session=True) as first:
        await first.send(START)
        for text in ("one", "two"):
            await first.send({"type": "text", "text": text})
        await first.send({"type": "text", "text": ""})
        await first.wait_for("error")  # all that came before it was taken
    sockets.desk.lets_join.set()
    async with calling(sockets.session(session_id), session=True) as second:
        await second.wait_for("audio")
        turns = sockets.desk.stored[session_id].turns
        async with asyncio.timeout(10):
            while (said := [text for role, text, _ in turns if role == "user"]) != ["one", "two"]:
                assert len(said) < 2, said
                await asyncio.sleep(0.05)


async def test_more_typed_words_than_may_wait_are_refused(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    sockets.desk.lets_join.clear()
    async with calling(sockets.session(sockets.desk.make()), session=True) as caller:
        await caller.send(START)
        for place in range(pace.WAITING):
            await caller.send({"type": "text", "text": f"word {place}"})
        await caller.send({"type": "text", "text": ""})
        assert (await caller.wait_for("error"))["code"] == "voice.bad_message"
        await caller.send({"type": "text", "text": "one more"})
        async with asyncio.timeout(5):
            while len(caller.all("error")) < 2:
                await asyncio.sleep(0.01)
        assert caller.all("error")[1]["code"] == "voice.too_fast"
    sockets.desk.fails = SessionTaken()
    sockets.desk.lets_join.set()


async def test_words_before_the_start_are_refused_and_speech_is_kept(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets()
    async with calling(sockets.session(sockets.desk.make()), session=True) as caller:
        await caller.send({"type": "text", "text": "hello"})
        assert (await caller.wait_for("error"))["code"] == "voice.not_started"
        await caller.say(speech(QUESTION), at_once=True)
        await caller.send(START)
        async with caller.listening():
            await caller.wait_for("audio")


async def test_a_stop_without_a_start_ends_the_session(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    async with calling(sockets.session(sockets.desk.make()), session=True) as caller:
        await caller.send(STOP)
        assert await caller.closed() == 1000
    assert await until_ended(sockets) == "asked"


@pytest.mark.parametrize("timed", [True, pytest.param(False, marks=pytest.mark.long)])
async def test_a_cut_reply_is_stored_as_far_as_an_obedient_player_played_it(
    open_sockets: OpenSockets, timed: bool
) -> None:
    sockets = await open_sockets(
        Script(heard=("first", "stop please"), replies=(LONG, "Fine."), timed=timed)
    )
    session_id = sockets.desk.make()
    async with calling(sockets.session(session_id), session=True) as caller:
        await caller.send(START)
        await caller.say(speech(QUESTION))
        async with caller.listening():
            await caller.wait_for("audio")
            await asyncio.sleep(1.5)
        await caller.say(speech("please stop talking now"))
        async with caller.listening():
            await caller.wait_for("clear")
    played = played_seconds(caller)
    role, text, interrupted = sockets.desk.stored[session_id].turns[1]
    assert (role, interrupted) == ("assistant", True)
    heard = words_begun(bytes(2 * round(played * 24_000)))
    off = abs(len(text.split()) - heard)
    assert off <= (1 if timed else 2)
    assert text == " ".join(LONG.split()[: len(text.split())])
    told = [one["text"] for one in caller.all("transcript") if one["role"] == "assistant"]
    assert text in told


def played_seconds(caller: Caller) -> float:
    """What a player has played at `clear` that stops at `pause`."""
    given = played = 0.0
    since: float | None = None
    for at, message in caller.got:
        if since is not None:
            played = min(given, played + at - since)
        kind = message["type"]
        if kind == "audio":
            given += len(pcm_of([message])) / 2 / 24_000
            since = at if since is None else max(since, at)
        elif kind == "pause":
            since = None
            continue
        elif kind == "clear":
            return played
        since = at if since is not None or kind == "resume" else None
    raise AssertionError("it was never cut")


async def test_a_newer_socket_takes_the_session_over(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets(Script(greeting=LONG))
    url = sockets.session(sockets.desk.make())
    async with calling(url, session=True) as older:
        await older.send(START)
        await older.wait_for("audio")
        async with calling(url, session=True) as newer:
            await newer.wait_for("audio")
            assert await older.closed() == 4409
            assert statuses(newer)[0] == ("active", "speaking")
    assert sockets.desk.ended == {}


async def test_a_reply_goes_on_where_it_was_when_its_socket_comes_back(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets(Script(greeting=" ".join(["word"] * 8) + "."))
    url = sockets.session(sockets.desk.make())
    async with calling(url, session=True) as first:
        await first.send(START)
        await first.wait_for("audio")
        await asyncio.sleep(0.8)
    await asyncio.sleep(0.5)
    async with calling(url, session=True) as second:
        await second.wait_for("transcript")
        async with asyncio.timeout(5):
            while not any(one["final"] for one in second.all("transcript")):
                await asyncio.sleep(0.05)
    both = pcm_of(first.all("audio")) + pcm_of(second.all("audio"))
    assert len(both) / 48_000 == pytest.approx(2.0, abs=0.05)
    assert len(pcm_of(second.all("audio"))) / 48_000 > 0.8


async def test_without_a_socket_the_session_ends_after_the_grace_time(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets(grace=0.2)
    session_id = sockets.desk.make()
    async with calling(sockets.session(session_id), session=True) as caller:
        await caller.send(START)
        await until_active(caller)
    assert await until_ended(sockets) == "caller_left"
    async with calling(sockets.session(session_id), session=True) as late:
        assert await late.closed() == 4410


async def test_a_session_that_was_not_started_outlives_its_socket(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets(grace=0.05)
    url = sockets.session(sockets.desk.make())
    async with calling(url, session=True) as first:
        await first.wait_for("status")
    await asyncio.sleep(0.2)
    async with calling(url, session=True) as second:
        await second.send(START)
        await until_active(second)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, 4401),
        ({"additional_headers": {"authorization": "Bearer nobody"}}, 4401),
        ({"additional_headers": {"authorization": "Basic abc"}}, 4401),
    ],
)
async def test_who_has_no_token_is_turned_away(
    open_sockets: OpenSockets, options: dict[str, dict[str, str]], code: int
) -> None:
    sockets = await open_sockets()
    url = sockets.session(sockets.desk.make()).partition("?")[0]
    async with calling(url, session=True, **options) as caller:
        assert await caller.closed() == code
        assert caller.all("error")[0]["code"] == "auth.invalid_token"


async def test_a_token_may_come_in_the_header(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    url = sockets.session(sockets.desk.make()).partition("?")[0]
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with calling(url, session=True, additional_headers=headers) as caller:
        await caller.wait_for("status")


async def test_somebody_elses_session_is_not_there(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    for name in ("5d0a7e3e-7d0f-4d0c-8f2a-0f6a3d1b2c4d", "nonsense"):
        url = sockets.session(sockets.desk.make()).replace(
            str(next(reversed(sockets.desk.stored))), name
        )
        async with calling(url, session=True) as caller:
            assert await caller.closed() == 4404


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"type": "text", "text": ""}, "voice.bad_message"),
        ({"type": "text", "text": "a" * 8001}, "voice.bad_message"),
        ({"type": "control", "action": "dance"}, "voice.bad_message"),
        ({"type": "audio", "data": "not base64"}, "voice.bad_audio"),
        ({"type": "video"}, "voice.bad_message"),
        ({}, "voice.bad_message"),
    ],
)
async def test_a_wrong_message_is_named(
    open_sockets: OpenSockets, sent: dict[str, str], code: str
) -> None:
    sockets = await open_sockets()
    async with calling(sockets.session(sockets.desk.make()), session=True) as caller:
        await caller.send(sent)
        error = await caller.wait_for("error")
        assert error["code"] == code
        assert "a" * 20 not in error["message"]


async def test_wrong_messages_are_counted_anew_once_a_typed_one_was_right(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets()
    async with calling(sockets.session(sockets.desk.make()), session=True) as caller:
        await caller.send(START)
        await until_active(caller)
        for _ in range(2):
            for _ in range(MAX_WRONG - 1):
                await caller.send({"type": "video"})
            await caller.send({"type": "text", "text": "when do you open"})
        await caller.wait_for("audio")
        assert {each["code"] for each in caller.all("error")} == {"voice.bad_message"}
        for _ in range(MAX_WRONG):
            await caller.send({"type": "video"})
        assert await caller.closed() == 1008


async def test_a_session_that_closes_itself_closes_its_socket(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    session_id = sockets.desk.make()
    async with calling(sockets.session(session_id), session=True) as caller:
        await caller.send(START)
        await until_active(caller)
        await sockets.desk.running[session_id].end("too_long")
        assert await caller.closed() == 1000
    assert statuses(caller)[-1][0] == "ended"


async def test_a_socket_tells_how_a_session_is_that_runs_in_a_room(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets(idle=0.5)
    session_id = sockets.desk.make()
    sockets.desk.elsewhere[session_id] = Found("active", "listening")
    async with calling(sockets.session(session_id), session=True) as caller:
        await caller.wait_for("status")
        sockets.desk.elsewhere[session_id] = Found("active", "speaking")
        await asyncio.sleep(1.0)  # twice the time for which a caller may say nothing
        sockets.desk.ended[session_id] = "caller_left"
        assert await caller.closed() == 1000
    assert statuses(caller) == [
        ("active", "listening"), ("active", "speaking"), ("ended", "speaking"),
    ]  # fmt: skip


@pytest.mark.parametrize("fails", [None, ConnectionResetError()])
async def test_a_socket_that_leaves_before_its_start_failed_leaves_the_session_alone(
    open_sockets: OpenSockets, fails: Exception | None
) -> None:
    sockets = await open_sockets(grace=0.1)
    session_id = sockets.desk.make()
    sockets.desk.elsewhere[session_id] = Found("active", "speaking")
    sockets.desk.fails = fails
    sockets.desk.lets_join.clear()
    async with calling(sockets.session(session_id), session=True) as caller:
        await caller.wait_for("status")
        await caller.send(START)
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.3)  # longer than the grace time
    sockets.desk.lets_join.set()
    await asyncio.sleep(0.3)
    assert sockets.desk.ended == {}
    assert sockets.desk.left_by == []
    async with calling(sockets.session(session_id), session=True) as again:
        await again.wait_for("status")
        assert statuses(again)[0] == ("active", "speaking")


async def test_a_socket_that_leaves_before_its_start_is_done_has_the_grace_time_from_then_on(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets(Script(greeting=LONG), grace=0.5)
    session_id = sockets.desk.make()
    sockets.desk.lets_join.clear()
    async with calling(sockets.session(session_id), session=True) as first:
        await first.send(START)
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.7)
    sockets.desk.lets_join.set()
    await asyncio.sleep(0.2)
    async with calling(sockets.session(session_id), session=True) as second:
        await second.wait_for("audio")
        assert len(pcm_of(second.all("audio"))) > 0
    assert sockets.desk.left_by[0] == session_id
    assert await until_ended(sockets) == "caller_left"


async def test_a_start_that_fails_ends_nothing_but_its_socket(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    session_id = sockets.desk.make()
    sockets.desk.fails = ConnectionResetError()
    async with calling(sockets.session(session_id), session=True) as first:
        await first.send(START)
        assert await first.closed() == 1011
    sockets.desk.fails = None
    async with calling(sockets.session(session_id), session=True) as second:
        await second.send(START)
        await until_active(second)
    assert sockets.desk.ended == {}


async def test_a_service_that_stops_leaves_alone_what_it_does_not_run(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets()
    session_id = sockets.desk.make()
    sockets.desk.elsewhere[session_id] = Found("active", "listening")
    async with calling(sockets.session(session_id), session=True) as caller:
        await caller.wait_for("status")
        await sockets.calls.close()
    assert sockets.desk.ended == {}


async def test_a_session_that_is_ended_before_its_start_closes_its_socket(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets()
    session_id = sockets.desk.make()
    async with calling(sockets.session(session_id), session=True) as caller:
        await caller.wait_for("status")
        sockets.desk.ended[session_id] = "asked"
        assert await caller.closed() == 1000
    assert statuses(caller)[-1][0] == "ended"


async def test_speech_before_the_start_is_kept_for_a_minute_and_no_longer(
    open_sockets: OpenSockets,
) -> None:
    sockets = await open_sockets()
    held = Held(sockets.desk.make(), sockets.desk.caller, sockets.desk, grace=1.0)
    second = bytes(2 * messages.SESSION_RATE)
    for _ in range(60):
        held.hear(second)
    with pytest.raises(NotStarted):
        for _ in range(2):
            held.hear(second)
