"""What the gateway itself may answer instead of a service.

Refusal
├── Unavailable, TimedOut, BadAnswer      a service is away, slow or broken
├── NotAsked
│   ├── CircuitOpen, Overloaded           it is away or full; who would ask is counted, not logged
├── Restarting, StreamCut                 in the middle of a stream: the gateway, the service leaves
├── BodyTooLarge, BodyTooSlow, HeadersTooLarge, TargetTooLong
├── MalformedPath, RepeatedHeader
├── UnknownPath, MethodNotAllowed
└── RateLimited
"""

import math
from collections.abc import Iterable

from serving import problems


class Refusal(Exception):
    """The gateway refuses."""

    status = 400
    code = "gateway.refused"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def problem(self) -> dict[str, object]:
        """The body of the answer; the docstring is its detail."""
        doc = type(self).__doc__ or ""
        return problems.body(self.status, self.code, doc.strip().splitlines()[0])


class Unavailable(Refusal):
    """The service behind this path is not available now."""

    status = 503
    code = "gateway.unavailable"
    headers = ((b"retry-after", b"1"),)


class BadAnswer(Unavailable):
    """The service behind this path broke off before it answered."""

    status = 502


class NotAsked(Unavailable):
    """The service behind this path is not asked now."""


class CircuitOpen(NotAsked):
    """The service behind this path does not answer; it is asked again soon."""

    code = "gateway.circuit_open"

    def __init__(self, wait: int) -> None:
        super().__init__()
        self.headers = ((b"retry-after", b"%d" % wait),)


class Overloaded(NotAsked):
    """The service behind this path has all the work that it can take."""

    code = "gateway.overloaded"


class Restarting(Unavailable):
    """The gateway restarts; what was being read can be resumed."""

    code = "gateway.restarting"


class StreamCut(Unavailable):
    """The service broke off; what was being read can be resumed where it ended."""

    code = "gateway.stream_cut"


class TimedOut(Refusal):
    """The service behind this path did not answer in time."""

    status = 504
    code = "gateway.timeout"


class BodyTooLarge(Refusal):
    """The body is larger than the limit."""

    status = 413
    code = "gateway.body_too_large"


class BodyTooSlow(Refusal):
    """The body did not come in time."""

    status = 408
    code = "gateway.body_too_slow"
    headers = ((b"connection", b"close"),)


class HeadersTooLarge(Refusal):
    """The headers are larger or more than the limit."""

    status = 431
    code = "gateway.headers_too_large"
    headers = ((b"connection", b"close"),)


class TargetTooLong(Refusal):
    """The address is longer than the limit."""

    status = 414
    code = "gateway.uri_too_long"


class MalformedPath(Refusal):
    """The path can be read in more than one way."""

    code = "gateway.malformed_path"


class RepeatedHeader(Refusal):
    """A header that may stand once is there twice, or holds what no header may hold."""

    code = "gateway.malformed_headers"
    headers = ((b"connection", b"close"),)


class UnknownPath(Refusal):
    """There is nothing at this path."""

    status = 404
    code = "request.not_found"


class MethodNotAllowed(Refusal):
    """This path does not have that method."""

    status = 405
    code = "request.method_not_allowed"

    def __init__(self, allowed: Iterable[str]) -> None:
        super().__init__()
        self.headers = ((b"allow", ", ".join(sorted(allowed)).encode()),)


class RateLimited(Refusal):
    """Too many requests; wait as long as Retry-After says."""

    status = 429
    code = "gateway.rate_limited"

    def __init__(self, wait: float, headers: Iterable[tuple[bytes, bytes]]) -> None:
        super().__init__()
        self.headers = ((b"retry-after", b"%d" % math.ceil(wait)), *headers)
