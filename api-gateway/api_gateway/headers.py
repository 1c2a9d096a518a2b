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
def comes_down(name: bytes) -> bool:
    """Whether a service's header reaches the client. Any case."""
    name = name.lower()
    return name not in _NOT_DOWNSTREAM and not name.startswith(b"access-control-")


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


def downstream(raw: Pairs, status: int) -> Pairs:
    """The headers of an answer that go to the client; the caller adds the gateway's own."""
    pairs = [pair for pair in raw if comes_down(pair[0])]
    if status in (204, 304):  # an answer without a body states no length
        return [pair for pair in pairs if pair[0].lower() != b"content-length"]
    return pairs
