"""The table of routes to services: what is not in it cannot be reached."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Access(StrEnum):
    """Who may use a route."""

    GUARDED = "guarded"
    PUBLIC = "public"
    GUESTS = "guests"  # without a token where ALLOW_GUEST_VOICE is on


@dataclass(frozen=True, slots=True)
class Route:
    """Sends `path` to `service`; `/*` at its end takes in everything below as well.

    `methods` are those that the route has; None leaves that to the service. `unguarded` are those
    that go on whatever their token is, since the service has a judgement of its own. At `sign_in`
    routes passwords and mailed links can be tried, or mails be caused, so the limit is stricter.
    What comes by a `webhook` is signed and comes from one address, so it has a limit of its own.
    Streams of an `endless` route end with the gateway, and their readers come again.
    """

    path: str
    service: str
    access: Access = Access.GUARDED
    methods: frozenset[str] | None = None
    sockets: bool = False
    unguarded: frozenset[str] = frozenset()
    sign_in: bool = False
    webhook: bool = False
    endless: bool = False


_GET = frozenset({"GET", "HEAD", "OPTIONS"})
_POST = frozenset({"POST", "OPTIONS"})

ROUTES: tuple[Route, ...] = (
    Route("/.well-known/jwks.json", "auth", Access.PUBLIC, _GET),
    *(
        Route(f"/api/v1/auth/{call}", "auth", Access.PUBLIC, _POST, sign_in=True)
        for call in ("register", "login", "verify", "password/forgot", "password/reset", "guest")
    ),
    Route("/api/v1/auth/refresh", "auth", Access.PUBLIC, _POST),
    # Whoever has erased themselves has no session any more: the service itself judges their token.
    Route("/api/v1/auth/me", "auth", unguarded=frozenset({"DELETE"})),
    Route("/api/v1/auth/erasures/*", "auth", Access.PUBLIC, _GET),
    Route("/api/v1/auth/*", "auth"),
    Route("/api/v1/profile/*", "auth"),
    Route("/api/v1/admin/usage", "conversation"),
    Route("/api/v1/admin/*", "auth"),
    Route("/api/v1/conversations/*", "conversation"),
    Route("/api/v1/events", "conversation", endless=True),
    Route("/api/v1/library/*", "conversation"),
    Route("/api/v1/voice/livekit", "voice", Access.PUBLIC, _POST, webhook=True),
    Route("/api/v1/voice/*", "voice", sockets=True),
    Route("/ws/voice", "voice", Access.GUESTS, sockets=True),
    Route("/ws/transcript/*", "voice", sockets=True),
    Route("/token", "voice", methods=_GET),
    Route("/session/*", "voice"),
    *(
        Route(f"{root}/{thing}/*", "clinic")
        for root in ("/api", "/api/v1")
        for thing in ("customers", "appointments", "staff", "businesses", "orders")
    ),
)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Segments are literal or percent-encoded, and no encoding hides a slash, a backslash, a percent
# sign or a control character, nor a letter, a digit or `-._~`, which need none: so a path means the
# same here and in every service, and no call has a second name under which other limits hold.
_CANONICAL = re.compile(
    rb"/|(?:/(?!\.{1,2}(?:/|\Z))"
    rb"(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%(?!2[D-Fd-f5]|3[0-9]|4[^0]"
    rb"|5[0-9AaCcFf]|6[^0]|7[0-9AaEeFf]|[01])[0-9A-Fa-f]{2})+)+/?"
)

_REPLIES = re.compile(r"/api/v1/conversations/[^/]+/messages(?:/[^/]+/regenerate)?")

_PLAIN = re.compile(rb"[A-Za-z0-9_/-]+")


def canonical(raw_path: bytes) -> bool:
    """Whether a path, as it came, has exactly one reading."""
    if _PLAIN.fullmatch(raw_path) is not None:
        return raw_path.startswith(b"/") and b"//" not in raw_path
    return _CANONICAL.fullmatch(raw_path) is not None


class Table:
    """The routes, ready to be looked up."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._exact = {route.path.removesuffix("/*"): route for route in routes}
        self._below = {
            route.path.removesuffix("/*"): route for route in routes if route.path.endswith("/*")
        }
        longest_first = sorted(self._below, key=len, reverse=True)
        self._prefix = re.compile(f"({'|'.join(map(re.escape, longest_first))})/")

    def find(self, path: str) -> Route | None:
        """The route of a canonical path without its query."""
        if (route := self._exact.get(path)) is not None:
            return route
        found = self._prefix.match(path)
        return self._below[found[1]] if found is not None else None


TABLE = Table(ROUTES)


def asks_for_reply(method: str, path: str) -> bool:
    """Whether the answer is a reply, which may take as long as the longest one."""
    return method == "POST" and _REPLIES.fullmatch(path) is not None
