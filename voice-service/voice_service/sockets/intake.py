"""The caller's speech on its way into a session, kept from its first sample on."""

import base64
import binascii
import time
from collections.abc import Callable

from livekit import rtc
from livekit.agents import utils
from livekit.agents.voice import io

from kit.errors import DomainError

BURST = 10.0
"""Seconds of speech that may come faster than it is spoken."""
FRAME = 0.032
"""Seconds: what voice detection looks at."""


class BadAudio(DomainError):
    """This message's audio is not base64."""

    code = "voice.bad_audio"


def decode(data: str) -> bytes:
    """The samples of a message.

    Raises:
        BadAudio: it is not strict base64.
    """
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise BadAudio from None


class Intake(io.AudioInput):
    """PCM s16le mono as it comes, in frames of 32 ms; what comes before a session listens waits."""

    def __init__(self, sample_rate: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(label="socket")
        self.sample_rate = sample_rate
        self._clock = clock
        self._begun = clock()
        self._heard = 0.0
        self._odd = b""
        self._frames = utils.audio.AudioByteStream(sample_rate, 1, round(sample_rate * FRAME))
        self._queue = utils.aio.Chan[rtc.AudioFrame]()

    def push(self, pcm: bytes) -> None:
        """Takes samples; half a sample waits for its other half."""
        if self._queue.closed:
            return
        pcm = self._odd + pcm
        whole = len(pcm) & ~1
        self._odd = pcm[whole:]
        self._heard += whole / 2 / self.sample_rate
        for frame in self._frames.push(pcm[:whole]):
            self._queue.send_nowait(frame)

    @property
    def excess(self) -> float:
        """Seconds to wait before more is taken; 0 unless the sender is too fast for too long."""
        now = self._clock()
        self._heard = max(self._heard, now - self._begun - BURST)
        return max(0.0, self._heard - (now - self._begun) - BURST)

    @property
    def waiting(self) -> float:
        """Seconds of speech that nobody has taken yet."""
        return self._queue.qsize() * FRAME

    def close(self) -> None:
        """The caller is gone."""
        if not self._queue.closed:
            self._queue.close()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._queue.__anext__()
