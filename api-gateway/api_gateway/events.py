"""A stream of events on its way through the gateway, which can end it with an event of its own."""

import json

from api_gateway import headers, refusals

LONGEST = 256 * 1024
"""Bytes of one event that are held back until it is whole; a longer one passes as it comes."""

_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")


def told(pairs: headers.Pairs) -> bool:
    """Whether an answer with these headers is a stream of events."""
    return any(
        name == b"content-type" and value.startswith(b"text/event-stream") for name, value in pairs
    )


def last(refused: refusals.Refusal) -> bytes:
    """The last event of a stream that the gateway itself ends."""
    return b"event: error\ndata: %b\n\n" % json.dumps(refused.problem()).encode()


class Passing:
    """Passes events on when they are whole: whatever breaks off in the middle of one, the reader
    gets none that was cut, and another can follow."""

    def __init__(self) -> None:
        self._rest = b""
        self.between = True

    def take(self, part: bytes) -> bytes:
        """What may go on now that `part` has come."""
        if not self._rest and part.endswith(b"\n\n"):
            self.between = True
            return part
        come = self._rest + part
        end = max(at + len(mark) if (at := come.rfind(mark)) >= 0 else 0 for mark in _ENDS)
        if len(come) - end > LONGEST:
            self._rest, self.between = b"", False
            return come
        self.between = self.between or end > 0
        if not self.between:
            return come
        self._rest = come[end:]
        return come[:end]

    def rest(self) -> bytes:
        """What is left when the stream has ended by itself."""
        rest, self._rest = self._rest, b""
        return rest
