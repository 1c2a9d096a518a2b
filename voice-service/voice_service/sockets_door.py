"""How a WebSocket comes in: a token in the header, the subprotocol pair or the query."""

from fastapi import WebSocket

from kit.errors import DomainError, Forbidden, InvalidToken
from kit.identity import Actor
from voice_service.context import Context
from voice_service.doors import admit
from voice_service.sockets.lines import Code

BEARER = "bearer"


def tokens_offered(socket: WebSocket) -> set[str]:
    """Every token that the opening carries."""
    found = set(socket.query_params.getlist("token"))
    for value in socket.headers.getlist("authorization"):
        scheme, _, token = value.partition(" ")
        found.add(token if scheme.lower() == BEARER else "")
    offered: list[str] = socket.scope.get("subprotocols", [])
    if offered[:1] == [BEARER]:
        found.update(offered[1:2])
    return found


async def accept(socket: WebSocket) -> None:
    """Opens the socket in the subprotocol that the caller offered."""
    offered: list[str] = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=BEARER if BEARER in offered else None)


async def enter(socket: WebSocket, context: Context) -> Actor | None:
    """Opens the socket and answers who calls; closes it again on whoever may not come.

    Opened first, since a browser does not see why a socket never opened.
    """
    await accept(socket)
    found = tokens_offered(socket)
    try:
        if len(found) != 1:
            raise InvalidToken
        return admit(context, await context.ground.verifier.verify(found.pop()))
    except (InvalidToken, Forbidden):
        await socket.close(Code.TOKEN)
    except DomainError:
        await socket.close(Code.TRY_LATER)
    return None
