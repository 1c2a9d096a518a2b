"""Which headers pass, in either direction."""

import re
from collections.abc import Iterable
from functools import lru_cache

from api_gateway import refusals

Pairs = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate",
    b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings",
})  # fmt: skip

# The gateway writes these itself, or speaks for nobody by them. Without Accept-Encoding no service
# compresses, so a stream is never held back to fill a compressor's block.
_NOT_UPSTREAM = HOP_BY_HOP | {
    b"host", b"content-length", b"expect", b"accept-encoding", b"forwarded", b"via", b"cookie",
    b"x-request-id", b"traceparent", b"x-real-ip", b"true-client-ip", b"cf-connecting-ip",
    b"x-client-ip", b"x-cluster-client-ip", b"x-original-url", b"x-rewrite-url",
    b"x-original-host", b"x-host", b"remote-user", b"x-remote-user", b"from",
}  # fmt: skip

_CLAIMS_IDENTITY = re.compile(
    rb"x-(?:user|auth|forwarded|remote|role|actor|service|account|tenant|subject|sub|claims"
    rb"|jwt|consumer|person|patient|admin|identity|principal|session|email|on-behalf"
    rb"|impersonate|internal|medbot|token|id-token|access|http-method|method-override"
    rb"|ms-client|goog|amzn-oidc)"
)

_NOT_DOWNSTREAM = HOP_BY_HOP | {
    b"server", b"date", b"x-request-id", b"via", b"x-powered-by", b"set-cookie", b"alt-svc",
    b"x-content-type-options", b"referrer-policy", b"x-frame-options", b"content-security-policy",
    b"strict-transport-security", b"traceparent", b"x-accel-buffering",
}  # fmt: skip

SECURITY: Pairs = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
TRANSPORT_SECURITY = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

_ONCE = frozenset({
    b"authorization", b"host", b"content-length", b"content-type", b"transfer-encoding",
    b"x-request-id", b"traceparent", b"idempotency-key", b"origin", b"last-event-id", b"expect",
})  # fmt: skip


@lru_cache(maxsize=1024)
def goes_up(name: bytes) -> bool:
    """Whether a client's header reaches a service. Names are in lower case."""
    return name not in _NOT_UPSTREAM and b"_" not in name and not _CLAIMS_IDENTITY.match(name)


@lru_cache(maxsize=1024)
def comes_down(name: bytes) -> bytes:
    """A service's header in lower case if it reaches the client, else nothing."""
    name = name.lower()
    stays = name in _NOT_DOWNSTREAM or name.startswith(b"access-control-")
    return b"" if stays else name


def refuse_repeated(raw: Pairs, names: Iterable[bytes]) -> None:
    """Raises RepeatedHeader when one that decides something is there twice."""
    all_names = [name for name, _ in raw]
    if any(all_names.count(name) > 1 for name in _ONCE.intersection(names)):
        raise refusals.RepeatedHeader


def upstream(raw: Iterable[tuple[bytes, bytes]], connection: bytes | None) -> list[bytes]:
    """The lines that go to a service, without those that `Connection` names."""
    if connection is None or connection.lower() in (b"keep-alive", b"close"):
        return [b"%b: %b\r\n" % pair for pair in raw if goes_up(pair[0])]
    named = {name.strip() for name in connection.lower().split(b",")} - {b"authorization"}
    return [b"%b: %b\r\n" % pair for pair in raw if goes_up(pair[0]) and pair[0] not in named]


def downstream(raw: Pairs, status: int) -> tuple[Pairs, bool]:
    """The headers of an answer that go to the client, and whether it is a stream or a file.

    The caller adds the gateway's own.
    """
    pairs, streaming, stored = [], False, False
    for name, value in raw:
        passing = comes_down(name)
        if not passing or (status in (204, 304) and passing == b"content-length"):
            continue  # an answer without a body states no length
        if passing == b"content-type":
            streaming = streaming or value.startswith(b"text/event-stream")
        elif passing == b"content-disposition":  # a file may take as long as it goes on coming
            streaming = streaming or value.startswith(b"attachment")
        elif passing == b"cache-control":
            stored = True
        pairs.append((passing, value))
    if not stored:
        pairs.append((b"cache-control", b"no-store"))
    return pairs, streaming
