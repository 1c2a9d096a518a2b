"""`medbot talk`: a recording is spoken, both sides are printed, what is wrong is one line."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from bare_sessions import TOKEN, Script
from bare_sockets import OpenSockets
from calling import decoded
from rich.console import Console
from typer.testing import CliRunner

from kit.testing.ports import free_port
from medbot import conformance, main, sounds, talk
from medbot.talk import Wanted
from medbot.terminal import Failed


def recording(path: Path, *, rate: int = 16_000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(rate * channels * width))
    return path


async def test_a_recording_is_spoken_and_both_sides_are_printed(
    open_sockets: OpenSockets, tmp_path: Path
) -> None:
    sockets = await open_sockets(Script(greeting="Hello there.", replies=("At nine. Come in.",)))
    said = tmp_path / "question.wav"
    with wave.open(str(said), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(conformance.question(None))
    printed = io.StringIO()
    wanted = Wanted(sockets.url, TOKEN, wav=said, save=tmp_path / "reply.mp3")
    await talk.talk(wanted, Console(file=printed, highlight=False, width=100))
    lines = [line.split(maxsplit=1) for line in printed.getvalue().splitlines()]
    assert lines[0][0] == "conversation"
    assert lines[1:] == [
        ["medbot", "Hello there."],
        ["you", "what are your hours"],
        ["medbot", "At nine."],
        ["medbot", "Come in."],
    ]
    assert len(decoded((tmp_path / "reply.mp3").read_bytes())) > 48_000


async def test_who_may_not_call_reads_why(open_sockets: OpenSockets, tmp_path: Path) -> None:
    sockets = await open_sockets()
    wanted = Wanted(sockets.url, "nobody", wav=recording(tmp_path / "a.wav"))
    with pytest.raises(Failed, match="token"):
        await talk.talk(wanted, Console(file=io.StringIO()))


async def test_the_conformance_report_says_what_does_not_hold(
    open_sockets: OpenSockets, tmp_path: Path
) -> None:
    sockets = await open_sockets(Script(replies=("No.",)))
    printed = io.StringIO()
    quick = (conformance.refuses_a_bad_token, conformance.runs_a_session)
    console = Console(file=printed, width=200)
    assert not await conformance.report(sockets.url, TOKEN, None, console, checks=quick)
    assert printed.getvalue().splitlines()[0].endswith("holds")
    assert "fails" in printed.getvalue().splitlines()[1]


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (8_000, 1)])
def test_any_16_bit_wav_becomes_16_khz_mono(tmp_path: Path, rate: int, channels: int) -> None:
    pcm = sounds.read_wav(recording(tmp_path / "a.wav", rate=rate, channels=channels))
    assert len(np.frombuffer(pcm, dtype=np.int16)) == pytest.approx(16_000, abs=2)


def test_what_is_no_wav_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.wav").write_text("no sound")
    for path, words in (
        (tmp_path / "no.wav", "no WAV file"),
        (tmp_path / "none.wav", "no WAV file"),
        (recording(tmp_path / "8.wav", width=1), "8 bits"),
    ):
        with pytest.raises(Failed, match=words):
            sounds.read_wav(path)


def test_where_nothing_answers_the_status_is_1(tmp_path: Path) -> None:
    wav = str(recording(tmp_path / "a.wav"))
    ended = CliRunner().invoke(
        main.app, ["talk", "--url", f"http://127.0.0.1:{free_port()}", "--token", "t", "--wav", wav]
    )
    assert ended.exit_code == 1
    assert "nothing answers there" in ended.stderr
