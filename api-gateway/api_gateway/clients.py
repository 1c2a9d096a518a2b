"""Where a request comes from: the address of the connection or, behind proxies that the operator
counted, the one that the first of them saw."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import Scope

UNKNOWN = "unknown"


def address(scope: Scope, *, trusted_proxies: int) -> str:
    """The client's address as it was written.

    Each proxy adds the address that it saw at the end of X-Forwarded-For, so with `trusted_proxies`
    of them in front the client is that many places from the end; what stands before was sent by
    the client and says nothing. Without trusted proxies the whole header says nothing.
    """
    peer = _peer(scope)
    if not trusted_proxies:
        return peer
    told = _forwarded(scope["headers"])
    if len(told) < trusted_proxies:
        return peer
    seen = told[-trusted_proxies]
    return seen if _parsed(seen) is not None else peer


def _peer(scope: Scope) -> str:
    """The address of the connection, unknown where the server has put another in its place.

    uvicorn by default believes X-Forwarded-For from the loopback; it then writes port 0.
    """
    client = scope.get("client")
    if client is None or not client[1]:
        return UNKNOWN
    peer: str = client[0]
    return peer


@lru_cache(maxsize=4096)
def counted(written: str) -> bytes:
    """What an address is counted as: itself or, for IPv6, its /64, which one household has."""
    ip = _parsed(written)
    if ip is None:
        return UNKNOWN.encode()
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return ip.packed[:8]
        ip = ip.ipv4_mapped
    return ip.packed


def _forwarded(raw: Iterable[tuple[bytes, bytes]]) -> list[str]:
    lines = [value.decode("latin-1") for name, value in raw if name == b"x-forwarded-for"]
    return [part.strip() for part in ",".join(lines).split(",")] if lines else []


def _parsed(written: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(written.partition("%")[0])
    except ValueError:
        return None
