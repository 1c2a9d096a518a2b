"""Speech from a file or a microphone, and replies to the loudspeakers."""

import asyncio
import threading
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np

from medbot.calling import resampled
from medbot.terminal import Failed

RATE = 16_000
LONGEST = 600.0
"""Seconds of a file that is spoken."""


def read_wav(path: Path) -> bytes:
    """PCM s16le 16 kHz mono of a WAV file of any rate, with one channel or several.

    Raises:
        Failed: it is no WAV file with 16-bit samples, or too long.
    """
    try:
        with wave.open(str(path)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            pcm = file.readframes(file.getnframes())
    except (OSError, wave.Error, EOFError) as error:
        raise Failed(f"{path}: no WAV file that can be read ({type(error).__name__})") from error
    if width != 2:
        raise Failed(f"{path}: samples have {8 * width} bits; 16 are needed")
    if len(pcm) / 2 / channels / rate > LONGEST:
        raise Failed(f"{path}: longer than {LONGEST:.0f} s")
    samples = np.frombuffer(pcm, dtype=np.int16).reshape(-1, channels)
    mono: bytes = samples.mean(axis=1).astype(np.int16).tobytes()
    return resampled(mono, rate, RATE)


def _devices() -> Any:
    try:
        import sounddevice  # type: ignore[import-untyped]  # it ships no types
    except OSError as error:
        raise Failed(
            "there is no microphone here: PortAudio is missing (on Debian and Ubuntu, apt-get "
            "install libportaudio2); `--wav file` speaks a recording"
        ) from error
    return sounddevice


@asynccontextmanager
async def microphone() -> AsyncIterator[AsyncIterator[bytes]]:
    """Pieces of PCM s16le 16 kHz as they are spoken.

    Raises:
        Failed: there is no microphone.
    """
    devices = _devices()
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue[bytes](maxsize=500)

    def heard(data: Any, *_: Any) -> None:
        loop.call_soon_threadsafe(_offer, pieces, bytes(data))

    try:
        stream = devices.RawInputStream(
            samplerate=RATE, channels=1, dtype="int16", blocksize=RATE // 50, callback=heard
        )
    except devices.PortAudioError as error:
        raise Failed("there is no microphone here; `--wav file` speaks a recording") from error
    with stream:
        yield _each(pieces)


def _offer(pieces: asyncio.Queue[bytes], piece: bytes) -> None:
    if not pieces.full():
        pieces.put_nowait(piece)


async def _each(pieces: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
    while True:
        yield await pieces.get()


class Loudspeaker:
    """Plays MP3 as it comes, in a thread of the device; silent where there is no device."""

    def __init__(self) -> None:
        self._decoder: Any = None
        self._waiting = bytearray()
        self._lock = threading.Lock()
        self._stream: Any = None
        try:
            self._stream = _devices().RawOutputStream(
                samplerate=24_000, channels=1, dtype="int16", callback=self._fill
            )
            self._stream.start()
        except Exception:  # PortAudio fails in many ways; the transcripts are still printed
            self._stream = None

    def play(self, mp3: bytes) -> None:
        """The next chunk of a reply."""
        if self._stream is None:
            return
        if self._decoder is None:
            self._decoder = av.CodecContext.create("mp3", "r")
        for packet in self._decoder.parse(mp3):
            for frame in self._decoder.decode(packet):
                samples = (frame.to_ndarray().ravel() * 32_767).astype(np.int16)
                with self._lock:
                    self._waiting += samples.tobytes()

    def stop(self, *, at_once: bool) -> None:
        """The reply is over; what has not been played is dropped when it is to stop at once."""
        self._decoder = None
        if at_once:
            with self._lock:
                self._waiting.clear()

    def _fill(self, samples: Any, *_: Any) -> None:
        with self._lock:
            given = bytes(self._waiting[: len(samples)])
            del self._waiting[: len(samples)]
        samples[:] = given.ljust(len(samples), b"\0")
