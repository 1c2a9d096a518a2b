"""Who is at the other end: a network address that nobody can make up, and a kind of program."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

import tokens
from kit.errors import InvalidToken

GATEWAY = "gateway"
PROOF_HEADER = "x-medbot-gateway"
ADDRESS_HEADER = "x-medbot-client"
UNKNOWN = "unknown"

_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
    ("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip
# The first that is found counts: most browsers also claim to be the older ones.
_BROWSERS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"), ("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("Chrome/", "Chrome"),
    ("Safari/", "Safari"), ("curl/", "curl"), ("python-httpx", "httpx"), ("okhttp", "an app"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Client:
    """`address` is whole for IPv4 and the /64 of IPv6, to count by and never to keep as it is;
    `network` and `program` are what a list of sessions may show."""

    address: str
    network: str | None = None
    program: str | None = None


def find(request: Request) -> Client:
    """The client of a request.

    The gateway names it in a header beside a service token of its own. From anybody else, the
    header counts for nothing and the address is that of the connection.
    """
    peer = request.client
    # uvicorn by default believes X-Forwarded-For from the loopback; it then writes port 0.
    address = peer.host if peer is not None and peer.port else UNKNOWN
    if (proof := request.headers.get(PROOF_HEADER)) is not None and _is_gateway(request, proof):
        address = request.headers.get(ADDRESS_HEADER, UNKNOWN)
    counted, network = networks(address)
    return Client(counted, network, program(request.headers.get("user-agent", "")))


def networks(address: str) -> tuple[str, str | None]:
    """What an address is counted as, and what of it may be shown: a /24, or a /48 of IPv6."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return UNKNOWN, None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip), str(ipaddress.ip_network((ip, 24), strict=False))
    counted = ipaddress.ip_network((ip, 64), strict=False)
    return str(counted), str(ipaddress.ip_network((ip, 48), strict=False))


def program(user_agent: str) -> str | None:
    """The kind of program and system, such as "Firefox on Linux": no version, nothing rare."""
    said = user_agent[:500]
    browser = next((name for sign, name in _BROWSERS if re.search(rf"\b{sign}", said)), None)
    system = next((name for sign, name in _SYSTEMS if sign in said), None)
    if browser is None:
        return system
    return f"{browser} on {system}" if system is not None else browser


def _is_gateway(request: Request, proof: str) -> bool:
    state = request.app.state
    try:
        caller = tokens.verify_service(
            proof, state.service_secret, audience=state.service, now=state.clock()
        )
    except InvalidToken:
        return False
    return caller.service == GATEWAY


Seen = Annotated[Client, Depends(find)]
