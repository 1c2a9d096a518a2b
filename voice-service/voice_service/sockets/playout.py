"""Gives speech to a far player as fast as it is played, and knows what was heard of it."""

import asyncio
import time

from livekit import rtc
from livekit.agents.voice import io

from voice_service.sockets.playing import Clock, Player, Playhead
from voice_service.sockets.script import Script

SAMPLE_RATE = 24_000
LEAD = 0.2
"""Seconds that the player is given ahead of what it plays, at most."""
CHUNK = 0.048
"""Seconds of a chunk: two frames of MP3 at 24 kHz."""
MOST_KEPT = 30.0
"""Seconds of speech that wait here; more keeps its maker waiting."""

_BYTES_A_SECOND = SAMPLE_RATE * 2
_CHUNK_BYTES = round(CHUNK * SAMPLE_RATE) * 2
_TICK = 0.0005


class PacedOutput(io.AudioOutput):
    """Speech on its way to a player, at most `LEAD` ahead of it.

    Each reply that got a frame is reported as finished exactly once, with its position and with
    the words that were heard. A reply that is cut before it was whole is reported when its maker
    closes it by `flush`.
    """

    def __init__(
        self, player: Player, *, lead: float = LEAD, clock: Clock = time.monotonic
    ) -> None:
        super().__init__(
            label="socket",
            sample_rate=SAMPLE_RATE,
            capabilities=io.AudioOutputCapabilities(pause=True),
        )
        self._player, self._lead, self._clock = player, lead, clock
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._resampler: rtc.AudioResampler | None = None
        self._resampled = SAMPLE_RATE
        self._paused = self._held = False
        self._open = False
        self.script = Script()
        self._start_over()

    def _start_over(self) -> None:
        self._head = Playhead(self._clock)
        if self._held:
            self._head.stop()
        self._waiting = bytearray()
        self._whole = self._begun = self._drained = self._cut = False

    # What the session calls

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Takes any rate in mono; waits while `MOST_KEPT` is waiting already."""
        await super().capture_frame(frame)
        if not self._open:
            self._open = True
            self._start_over()
            if self.script.finished:
                self.script = Script()
        if self._cut:
            return
        self._keep(frame)
        self._pump()
        await self._room.wait()

    def flush(self) -> None:
        """The reply has all its frames."""
        super().flush()
        if not self._open or self._whole:
            return
        self._whole = True
        if self._resampler is not None:
            self._keep_all(self._resampler.flush())
            self._resampler = None
        self.script.last(self._head.given + len(self._waiting) / _BYTES_A_SECOND)
        if self._cut:
            self._finish(interrupted=True)
        else:
            self._pump()

    def clear_buffer(self) -> None:
        """Cuts the reply off."""
        if not self._open or self._cut:
            return
        self._cut = True
        self._head.stop()
        self._waiting.clear()
        self._stop_timer()
        self._room.set()
        if self._whole:
            self._finish(interrupted=True)

    def pause(self) -> None:
        """Gives no more until `resume`."""
        super().pause()
        if self._paused:
            return
        self._paused = True
        self._stop_timer()
        if self._player.obeys:
            self._head.stop()
        self._player.pause()

    def resume(self) -> None:
        """Goes on where it was paused."""
        super().resume()
        if not self._paused:
            return
        self._paused = False
        if not self._held:
            self._head.go()
        self._player.resume()
        self._pump()

    @property
    def busy(self) -> bool:
        """Whether a reply is being spoken."""
        return self._open

    def hold(self) -> None:
        """Gives no more until `release`: nobody is there. The player is not told."""
        self._held = True
        self._stop_timer()
        self._head.stop()

    def release(self) -> None:
        """Somebody is there again."""
        self._held = False
        if not (self._paused and self._player.obeys):
            self._head.go()
        self._pump()

    def close(self) -> None:
        """Stops for good; what is open is reported as cut."""
        self.clear_buffer()
        self.flush()
        self._stop_timer()

    # How it goes on its way

    def _keep(self, frame: rtc.AudioFrame) -> None:
        if frame.sample_rate == SAMPLE_RATE:
            self._keep_all([frame])
            return
        if self._resampler is None or self._resampled != frame.sample_rate:
            self._resampled = frame.sample_rate
            self._resampler = rtc.AudioResampler(frame.sample_rate, SAMPLE_RATE)
        self._keep_all(self._resampler.push(frame))

    def _keep_all(self, frames: list[rtc.AudioFrame]) -> None:
        for frame in frames:
            self._waiting += bytes(frame.data)
        if len(self._waiting) > MOST_KEPT * _BYTES_A_SECOND:
            self._room.clear()

    def _pump(self) -> None:
        """Gives what is due, then looks again when more is due."""
        self._stop_timer()
        if self._paused or self._held or self._cut or not self._open:
            return
        while self._next_size() and self._head.ahead + CHUNK <= self._lead + _TICK:
            self._give(self._next_size())
        if len(self._waiting) <= MOST_KEPT * _BYTES_A_SECOND:
            self._room.set()
        if self._next_size():
            self._look_again(self._head.ahead + CHUNK - self._lead)
        elif self._whole:
            self._run_out()

    def _next_size(self) -> int:
        """Bytes of the next chunk; less than a whole one goes only at the end of a reply."""
        if len(self._waiting) >= _CHUNK_BYTES or self._whole:
            return min(len(self._waiting), _CHUNK_BYTES)
        return 0

    def _give(self, size: int) -> None:
        if not self._begun:
            self._begun = True
            self._player.begin()
            self.on_playback_started(created_at=time.time())
        pcm = bytes(self._waiting[:size])
        del self._waiting[:size]
        for sentence in self.script.due(self._head.given + size / _BYTES_A_SECOND):
            self._player.say(sentence)
        self._player.play(pcm)
        self._head.give(size / _BYTES_A_SECOND)

    def _run_out(self) -> None:
        if not self._drained:
            self._drained = True
            self._player.drain()
        if self._head.ahead > _TICK:
            self._look_again(self._head.ahead)
        else:
            self._finish(interrupted=False)

    def heard(self) -> str:
        """The words that were heard so far of the reply that is being spoken."""
        return self.script.heard(self._reached()) if self._open and self._begun else ""

    def _reached(self) -> float:
        """How much cannot be taken back any more, in seconds of the reply."""
        if self._player.obeys:
            return self._head.position
        return max(0.0, self._head.given - self._player.held)

    def _finish(self, *, interrupted: bool) -> None:
        self._stop_timer()
        self._open = False
        position = self._reached() if interrupted else self._head.position
        heard = self.script.finish(position, interrupted=interrupted)
        if not interrupted:
            for sentence in self.script.due(float("inf")):
                self._player.say(sentence)
        if self._begun or self.script.shown:
            self._player.end(interrupted=interrupted)
        self.on_playback_finished(
            playback_position=position, interrupted=interrupted, synchronized_transcript=heard
        )

    def _look_again(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(seconds, _TICK), self._pump)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class SpokenText(io.TextOutput):
    """The words of what `output` plays, as they become known, with their times where there are."""

    def __init__(self, output: PacedOutput, player: Player) -> None:
        super().__init__(label="socket", next_in_chain=None)
        self._output, self._player = output, player

    async def capture_text(self, text: str) -> None:
        """Adds to the words of the reply."""
        if self._output.script.closed:
            self._output.script = Script()
        self._output.script.add(text)
        self._announce()

    def flush(self) -> None:
        """The reply has all its words."""
        if not self._output.script.closed:
            self._output.script.close()
            self._announce()

    def _announce(self) -> None:
        for sentence in self._output.script.due(None):
            self._player.say(sentence)
