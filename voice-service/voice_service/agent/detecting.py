"""Where speech is: found once for a session, which follows it, and so does its hearing.

livekit's detector is shared by sessions at a price that grows with their square (each hears of
the others' measurements), and hands every look at 32 ms to a thread. This one looks at a frame
when it comes, by the same model and to the same effect.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from livekit import rtc
from livekit.agents import utils, vad
from livekit.local_inference import VAD as Model
from livekit.local_inference import VAD_WINDOW_SAMPLES

RATE = 16_000
WINDOW = VAD_WINDOW_SAMPLES / RATE
"""Seconds that the model looks at."""
LONG = 20.0
"""Seconds of a stretch of speech after which the next lull ends it: where sound never pauses, its
words must be found meanwhile."""
LULL = 0.1
"""Seconds of quiet that there may be between two words."""
LONGEST = 30.0
"""Seconds after which it ends in any case."""

_WINDOW_BYTES = VAD_WINDOW_SAMPLES * 2
_Type = vad.VADEventType

Follower = Callable[[vad.VADEvent], None]
"""Called in the session's event loop, in order; must neither block nor fail."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When speech begins and ends: seconds, and the model's probabilities."""

    min_speech: float
    min_silence: float
    padding: float
    """Seconds of the sound before a stretch of speech that are given with it."""
    begins: float = 0.5
    goes_on: float = 0.35


class Detector(vad.VAD):
    """One session's."""

    def __init__(self, thresholds: Thresholds) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=WINDOW))
        self._thresholds = thresholds
        self._followers: list[Follower] = []

    @property
    def model(self) -> str:
        """Its name."""
        return "silero"

    @property
    def provider(self) -> str:
        """Whose library runs it."""
        return "livekit-local-inference"

    @property
    def min_silence_duration(self) -> float:
        """Seconds of silence that end a stretch of speech."""
        return self._thresholds.min_silence

    def stream(self) -> "Detection":
        """A stream of frames; its events also go to whoever follows."""
        return Detection(self, self._thresholds)

    @contextmanager
    def followed(self, follower: Follower) -> Iterator[None]:
        """Tells `follower` of what every stream finds, for as long as the block lasts."""
        self._followers.append(follower)
        try:
            yield
        finally:
            self._followers.remove(follower)

    def tell(self, event: vad.VADEvent) -> None:
        """Tells those who follow."""
        for follower in self._followers:
            follower(event)


class Detection(vad.VADStream):
    """Frames in, events out. It needs no task of its own, so it does not begin its parent's.

    An event of a look has its sound only while there is speech.
    """

    def __init__(self, detector: Detector, thresholds: Thresholds) -> None:
        self._detector = detector
        self._windows = Windows(thresholds)
        self._events = utils.aio.Chan[vad.VADEvent]()
        self._ended = False

    def push_frame(self, frame: rtc.AudioFrame) -> None:
        """Looks at every window that the frame completes: some 0.03 ms for each."""
        if self._ended or self._events.closed:
            raise RuntimeError("the stream has ended")
        for event in self._windows.push(frame):
            self._detector.tell(event)
            self._events.send_nowait(event)

    def flush(self) -> None:
        """What comes next has nothing to do with what was before."""
        self._windows.reset()

    def end_input(self) -> None:
        """No frame comes any more; what was found can still be read."""
        self._ended = True
        self._events.close()

    async def aclose(self) -> None:
        """Ends it."""
        self._events.close()

    async def _main_task(self) -> None:
        """Nothing: `push_frame` does the work."""

    async def __anext__(self) -> vad.VADEvent:
        try:
            return await self._events.recv()
        except utils.aio.ChanClosed:
            raise StopAsyncIteration from None


class Windows:
    """Cuts sound into the model's windows, and says where speech begins and ends."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._needs, self._model = thresholds, Model()
        self._rate = 0
        self._resampler: rtc.AudioResampler | None = None
        self.reset()

    def reset(self) -> None:
        """Forgets all sound."""
        self._model.reset()
        self._given, self._sound = bytearray(), bytearray()  # as it came, and for the model
        self._kept = bytearray()
        self._looks = 0
        self._speaking = False
        self._speech = self._silence = 0.0
        self._loud = self._quiet = 0.0
        self._open(self._rate)

    def push(self, frame: rtc.AudioFrame) -> Iterator[vad.VADEvent]:
        """What is found in the windows that this frame completes."""
        if frame.sample_rate != self._rate:
            self._open(frame.sample_rate)
        self._given += frame.data.cast("B")
        if self._resampler is None:
            self._sound += frame.data.cast("B")
        else:
            for made in self._resampler.push(frame):
                self._sound += made.data.cast("B")
        while len(self._sound) >= _WINDOW_BYTES:
            window = np.frombuffer(bytes(self._sound[:_WINDOW_BYTES]), dtype=np.int16)
            del self._sound[:_WINDOW_BYTES]
            yield from self._look(float(self._model.predict(window)))

    def _open(self, rate: int) -> None:
        self._rate = rate
        self._resampler = (
            rtc.AudioResampler(rate, RATE, quality=rtc.AudioResamplerQuality.QUICK)
            if rate not in (0, RATE)
            else None
        )

    def _look(self, probability: float) -> Iterator[vad.VADEvent]:
        taken = self._take()
        if self._speaking:
            self._speech += WINDOW
        else:
            self._silence += WINDOW
        event = self._event(_Type.INFERENCE_DONE)
        event.probability = probability
        event.raw_accumulated_silence, event.raw_accumulated_speech = self._quiet, self._loud
        if self._speaking:
            event.frames = [self._frame(taken)]
        yield event
        if probability >= self._needs.begins or (
            self._speaking and probability > self._needs.goes_on
        ):
            yield from self._louder()
        else:
            yield from self._quieter()

    def _take(self) -> bytes:
        """The sound of one window as it came; the kept stretch grows by it."""
        before = self._looks * VAD_WINDOW_SAMPLES * self._rate // RATE
        self._looks += 1
        until = self._looks * VAD_WINDOW_SAMPLES * self._rate // RATE
        taken = bytes(self._given[: 2 * (until - before)])
        del self._given[: len(taken)]
        self._kept += taken
        return taken

    def _louder(self) -> Iterator[vad.VADEvent]:
        self._loud, self._quiet = self._loud + WINDOW, 0.0
        if self._speaking and self._speech >= LONGEST:
            yield self._end()
            self._loud = 0.0
            self._keep(self._needs.padding)  # the next one begins with it: a word may be cut here
        if not self._speaking and self._loud >= self._needs.min_speech:
            self._speaking = True
            self._silence, self._speech = 0.0, self._loud
            yield self._event(_Type.START_OF_SPEECH, self._frame(bytes(self._kept)))

    def _quieter(self) -> Iterator[vad.VADEvent]:
        self._loud, self._quiet = 0.0, self._quiet + WINDOW
        long = self._speech >= LONG
        if self._speaking and self._quiet >= (LULL if long else self._needs.min_silence):
            yield self._end()
            if long:
                self._keep(self._quiet)  # its last word is not the first of the next one
        if not self._speaking:
            self._keep(self._needs.padding)

    def _end(self) -> vad.VADEvent:
        self._speaking = False
        self._silence, self._speech = self._quiet, max(0.0, self._speech - self._quiet)
        ended = self._event(_Type.END_OF_SPEECH, self._frame(bytes(self._kept)))
        self._speech = 0.0
        return ended

    def _keep(self, seconds: float) -> None:
        """Lets all but the last of the sound go."""
        del self._kept[: max(0, len(self._kept) - self._bytes(seconds))]

    def _event(self, kind: vad.VADEventType, *frames: rtc.AudioFrame) -> vad.VADEvent:
        return vad.VADEvent(
            type=kind,
            samples_index=self._looks * VAD_WINDOW_SAMPLES,
            timestamp=self._looks * WINDOW,
            speech_duration=self._speech,
            silence_duration=self._silence,
            frames=list(frames),
            speaking=self._speaking,
        )

    def _frame(self, pcm: bytes) -> rtc.AudioFrame:
        return rtc.AudioFrame(pcm, self._rate, 1, len(pcm) // 2)

    def _bytes(self, seconds: float) -> int:
        return 2 * int(seconds * self._rate)
