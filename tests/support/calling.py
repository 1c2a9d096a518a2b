"""Recorded speech for tests, and the client of the voice sockets that speaks it."""

import subprocess
import wave
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from medbot.calling import Caller as Caller
from medbot.calling import HungUp as HungUp
from medbot.calling import calling as calling
from medbot.calling import decoded as decoded
from medbot.calling import mp3_of as mp3_of
from medbot.calling import pcm_of as pcm_of
from medbot.calling import resampled as resampled


@cache
def speech(words: str, voice: str = "slt") -> bytes:
    """PCM s16le 16 kHz of `words`, spoken by flite."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", words, str(path)], check=True)
        with wave.open(str(path)) as file:
            rate, pcm = file.getframerate(), file.readframes(file.getnframes())
    return resampled(pcm, rate, 16_000)
