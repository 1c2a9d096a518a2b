"""Where a request comes from: the address of the connection or, behind proxies that the operator
counted, the one that the first of them saw."""

import ipaddress
from collections.abc import Iterable
from functools import cache, lru_cache

from starlette.types import Scope

from kit import logs

UNKNOWN, LOOPBACK = "unknown", "127.0.0.1"

_log = logs.get(__name__)


def address(scope: Scope, *, trusted_proxies: int) -> str:
    """The client's address as it was written.

    Each proxy adds the address that it saw at the end of X-Forwarded-For, so with `trusted_proxies`
    of them in front the client is that many places from the end; what stands before was sent by
    the client and says nothing. Without trusted proxies the whole header says nothing.
    """
    peer = _peer(scope)
    told = _told(scope["headers"], b"x-forwarded-for")
    if not trusted_proxies:
        if told and _is_loopback(peer):
            _warn_of_proxy()
        return peer
    if len(told) < trusted_proxies:
        return peer
    seen = told[-trusted_proxies]
    return seen if _parsed(seen) is not None else peer


def scheme(scope: Scope, *, trusted_proxies: int) -> str:
    """`https` or `http` (`wss`, `ws` for sockets): the client's own, as the proxies tell it."""
    own: str = scope["scheme"]
    told = _told(scope["headers"], b"x-forwarded-proto") if trusted_proxies else []
    if not told or told[-min(trusted_proxies, len(told))].lower() not in ("https", "wss"):
        return own
    return "wss" if own.startswith("ws") else "https"


def _peer(scope: Scope) -> str:
    """The address of the connection.

    Started by its own command, uvicorn believes X-Forwarded-For from the loopback alone, and then
    writes port 0: the connection came from the loopback.
    """
    client = scope.get("client")
    if client is None:
        return UNKNOWN
    peer: str = client[0] if client[1] else LOOPBACK
    return peer


def _is_loopback(written: str) -> bool:
    ip = _parsed(written)
    return ip is not None and (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


@cache
def _warn_of_proxy() -> None:
    """Once: whoever comes through a proxy on this machine is counted as one and the same."""
    _log.warning("proxies.not_trusted", remedy="set TRUSTED_PROXIES")


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


def _told(raw: Iterable[tuple[bytes, bytes]], header: bytes) -> list[str]:
    lines = [value.decode("latin-1") for name, value in raw if name == header]
    return [part.strip() for part in ",".join(lines).split(",")] if lines else []


def _parsed(written: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(written.partition("%")[0])
    except ValueError:
        return None
