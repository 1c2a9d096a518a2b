"""A process that hears one caller at a time; run with the folder of the model.

It reads messages of one kind byte, four bytes of length and a payload, and answers each `END`
and each word more that it hears with a line of JSON.
"""

import dataclasses
import json
import struct
import sys
from pathlib import Path
from typing import BinaryIO

from voice_service.offline import decoders, hearing

HEADER = struct.Struct("<cI")
RESET, START, AUDIO, END, DROP = b"R", b"S", b"A", b"E", b"D"
_PARTIAL_BYTES = hearing.RATE_HZ // 10 * 2


class Worker:
    """The decoders behind the pipe."""

    def __init__(self, model: Path, answers: BinaryIO) -> None:
        self._decoders = decoders.Decoders(model)
        self._answers = answers
        self._fresh = 0
        self._said = ""
        self._say({"ready": True})

    def take(self, kind: bytes, payload: bytes) -> None:
        """One message."""
        if kind == AUDIO:
            self._hear(payload)
        elif kind == START:
            self._fresh, self._said = 0, ""
            self._decoders.start()
        elif kind == END:
            self._say({"heard": dataclasses.asdict(self._decoders.end())})
        elif kind == DROP:
            self._decoders.drop()
        elif kind == RESET:
            self._decoders.reset()

    def _hear(self, pcm: bytes) -> None:
        self._decoders.feed(pcm)
        self._fresh += len(pcm)
        if self._fresh < _PARTIAL_BYTES:
            return
        self._fresh = 0
        words = self._decoders.partial()
        if words != self._said:
            self._said = words
            self._say({"partial": words})

    def _say(self, answer: object) -> None:
        self._answers.write(json.dumps(answer).encode() + b"\n")
        self._answers.flush()


def main() -> None:
    worker = Worker(Path(sys.argv[1]), sys.stdout.buffer)
    messages = sys.stdin.buffer
    while len(header := messages.read(HEADER.size)) == HEADER.size:
        kind, length = HEADER.unpack(header)
        worker.take(kind, messages.read(length))


if __name__ == "__main__":
    main()
