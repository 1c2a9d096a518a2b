"""What plays at the far end of each socket, as messages."""

import base64
from collections.abc import Callable

from pydantic import BaseModel

from voice_service.sockets import messages
from voice_service.sockets.mp3 import Encoder

Send = Callable[[BaseModel], None]
Now = Callable[[], float]
"""Seconds since 1970."""


class Mp3Player:
    """A client of `/ws/voice`: it plays whatever reached it, so all of that counts as heard."""

    obeys = False

    def __init__(self, send: Send, now: Now) -> None:
        self._send, self._now = send, now
        self._encoder: Encoder | None = None
        self._chunks = 0

    @property
    def held(self) -> float:
        """Seconds that wait in the encoder."""
        return self._encoder.held if self._encoder is not None else 0.0

    def begin(self) -> None:
        """The next chunk has number 0."""
        self._encoder, self._chunks = Encoder(), 0

    def play(self, pcm: bytes) -> None:
        """Sends the frames that are whole."""
        assert self._encoder is not None
        self._chunk(self._encoder.push(pcm))

    def say(self, sentence: str) -> None:
        """Sends the words of what comes next."""
        self._send(messages.AssistantTranscript(text=sentence, timestamp=self._now()))

    def pause(self) -> None:
        """Nothing: such a client is not told, it just gets no more."""

    def resume(self) -> None:
        """Nothing, as for `pause`."""

    def drain(self) -> None:
        """Sends the last frames."""
        assert self._encoder is not None
        self._chunk(self._encoder.finish())

    def end(self, *, interrupted: bool) -> None:
        """Says how the reply ended."""
        kind = messages.Interrupted if interrupted else messages.AudioComplete
        self._send(kind(timestamp=self._now()))

    def _chunk(self, mp3: bytes) -> None:
        if not mp3:
            return
        audio = base64.b64encode(mp3).decode("ascii")
        self._send(messages.ReplyAudio(audio=audio, chunk_num=self._chunks, timestamp=self._now()))
        self._chunks += 1


class PcmPlayer:
    """A client of the session socket: it pauses, goes on and drops as it is told."""

    obeys = True
    held = 0.0

    def __init__(self, send: Send) -> None:
        self._send = send
        self._said: list[str] = []

    def begin(self) -> None:
        """Nothing is sent before the sound."""

    def play(self, pcm: bytes) -> None:
        """Sends the samples."""
        self._send(messages.SpeechOut(data=base64.b64encode(pcm).decode("ascii")))

    def say(self, sentence: str) -> None:
        """Sends the reply as far as it is being played."""
        self._said.append(sentence)
        text = " ".join(self._said)
        self._send(messages.Transcript(role="assistant", text=text, final=False))

    def pause(self) -> None:
        """Has the player stop."""
        self._send(messages.Pause())

    def resume(self) -> None:
        """Has the player go on."""
        self._send(messages.Resume())

    def drain(self) -> None:
        """Nothing: the last samples were sent."""

    def end(self, *, interrupted: bool) -> None:
        """Has the player drop what it has when the reply was cut."""
        self._said.clear()
        if interrupted:
            self._send(messages.Clear())
