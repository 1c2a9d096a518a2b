"""Who opens a socket: the token in its query, its header or its subprotocols."""

from fastapi import WebSocket

from kit.errors import InvalidToken

BEARER = "bearer"


def token_of(socket: WebSocket) -> str | None:
    """The one token that the opening carries; None without any.

    Raises:
        InvalidToken: there are several that differ, or a header that holds none.
    """
    found = set(socket.query_params.getlist("token"))
    for header in socket.headers.getlist("authorization"):
        scheme, _, token = header.partition(" ")
        found.add(token if scheme.lower() == BEARER else "")
    offered: list[str] = socket.scope.get("subprotocols", [])
    if offered[:1] == [BEARER]:
        found.update(offered[1:2] or [""])
    if len(found) > 1 or "" in found:
        raise InvalidToken
    return found.pop() if found else None


def subprotocol(socket: WebSocket) -> str | None:
    """What to answer to those that the client offers."""
    return BEARER if BEARER in socket.scope.get("subprotocols", []) else None
