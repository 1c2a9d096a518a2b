"""Which pages of other origins may call, as browsers ask it."""

from collections.abc import Iterable

from api_gateway import headers, routes

_ALLOW_HEADERS = (
    b"Authorization, Content-Type, Accept, Idempotency-Key, Last-Event-ID, X-Request-ID, "
    b"Traceparent, Tracestate, If-None-Match"
)
_EXPOSE_HEADERS = (
    b"X-Request-ID, Retry-After, Location, ETag, RateLimit, RateLimit-Policy, "
    b"RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
)
_MAX_AGE = b"600"


class Cors:
    """The origins that may call; `*` lets in all. Credentials are bearer tokens, never cookies,
    so no answer allows credentials."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)
        self._any = b"*" in self._origins

    def allows(self, origin: bytes) -> bool:
        return self._any or origin in self._origins

    def on_answer(self, origin: bytes) -> headers.Pairs:
        """Headers of any answer to a page of `origin`."""
        if not self.allows(origin):
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", b"*" if self._any else origin),
            (b"access-control-expose-headers", _EXPOSE_HEADERS),
            (b"vary", b"Origin"),
        ]

    def on_preflight(self, origin: bytes) -> headers.Pairs:
        """Headers of the answer to a browser that asks before it calls."""
        pairs = self.on_answer(origin)
        if self.allows(origin):
            pairs += [
                (b"access-control-allow-methods", ", ".join(sorted(routes.METHODS)).encode()),
                (b"access-control-allow-headers", _ALLOW_HEADERS),
                (b"access-control-max-age", _MAX_AGE),
            ]
        return pairs


def is_preflight(method: str, fields: dict[bytes, bytes]) -> bool:
    """Whether a browser asks for leave."""
    return (
        method == "OPTIONS" and b"origin" in fields and b"access-control-request-method" in fields
    )
