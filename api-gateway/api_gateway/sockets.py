"""Carries a WebSocket both ways, message by message, with its close codes."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode

from starlette.types import Receive, Scope, Send
from websockets import exceptions
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from api_gateway import clients, door, headers, refusals, routes
from api_gateway.context import Context
from api_gateway.pool import Pool
from api_gateway.room import Place
from kit import logs
from kit.errors import DomainError, InvalidToken
from serving import problems
from telemetry import catalogue

BEARER = "bearer"
TOKEN, TOO_MANY = 4401, 4429
GOING_AWAY, POLICY, TOO_BIG, FAILED, TRY_LATER = 1001, 1008, 1009, 1011, 1013
NO_CODE, ABNORMAL = 1005, 1006

# What a service answers instead of opening a socket, as the code that browsers can see.
_REFUSED = {401: TOKEN, 403: TOKEN, 404: 4404, 429: TOO_MANY, 503: TRY_LATER}

_log = logs.get(__name__)


class Closed(Exception):
    """The socket closes with `code`; opened first, since browsers hide why one never opened."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


async def handle(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """Carries one socket from its opening to its end."""
    offered: list[str] = scope.get("subprotocols", [])
    fields = dict(scope["headers"])
    scope["scheme"] = clients.scheme(scope, trusted_proxies=context.settings.trusted_proxies)
    named = [(b"x-request-id", door.identify(fields))]
    await receive()
    try:
        door.check_headers(context, scope, fields)
        route = door.find_route(scope)
        if not route.sockets:
            raise refusals.UnknownPath
    except refusals.Refusal as refused:
        catalogue.REFUSALS.add(refused.code)
        await _deny(scope, send, refused, named)
        return
    chosen = BEARER if BEARER in offered else None
    place: Place | None = None
    try:
        client = clients.address(scope, trusted_proxies=context.settings.trusted_proxies)
        token = await _let_in(context, route, scope, fields, clients.counted(client))
        pool, place = _place(context, route)
        service = await _open(context, pool, scope, fields, token, client)
    except Closed as closed:
        if place is not None:
            place.leave()
        await send({"type": "websocket.accept", "subprotocol": chosen, "headers": named})
        await send({"type": "websocket.close", "code": closed.code})
        return
    except BaseException:
        if place is not None:
            place.leave()
        raise
    try:
        spoken = service.subprotocol or chosen
        await send({"type": "websocket.accept", "subprotocol": spoken, "headers": named})
        code = await _carry(service, receive, send, context.settings.max_socket_message)
        if code is not None:
            await send({"type": "websocket.close", "code": code})
    finally:
        service.transport.abort()
        place.leave()


def _place(context: Context, route: routes.Route) -> tuple[Pool, Place]:
    """The service of a route, and a place among its sockets.

    Raises:
        Closed: it is not configured, does not answer or has as many as it may.
    """
    pool = context.pools.get(route.service)
    if pool is None:
        raise Closed(TRY_LATER)
    try:
        pool.admit()
        pool.sockets.enter_now()
    except (refusals.CircuitOpen, refusals.Overloaded):
        raise Closed(TRY_LATER) from None
    return pool, Place(pool.sockets)


async def _deny(scope: Scope, send: Send, refused: refusals.Refusal, named: headers.Pairs) -> None:
    """Answers instead of opening: with a problem where the server can, else with its bare 403."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY})
        return
    body = json.dumps(refused.problem()).encode()
    pairs = [
        (b"content-type", problems.MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        *named,
        *headers.SECURITY,
    ]
    start = {"type": "websocket.http.response.start", "status": refused.status, "headers": pairs}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": body})


def tokens_offered(scope: Scope, fields: Mapping[bytes, bytes]) -> list[str]:
    """Every token that a socket's opening carries: header, subprotocol pair, query."""
    found: list[str] = []
    if b"authorization" in fields:
        found.append(door.bearer(fields[b"authorization"]))
    offered: list[str] = scope.get("subprotocols", [])
    if offered[:1] == [BEARER]:
        found += offered[1:2]
    query = parse_qsl(scope["query_string"].decode("latin-1"))
    found += [value for name, value in query if name == "token"]
    return found


async def _let_in(
    context: Context,
    route: routes.Route,
    scope: Scope,
    fields: Mapping[bytes, bytes],
    counted: bytes,
) -> str | None:
    """The verified token; None for a guest where guests may come.

    Raises:
        Closed: none, a bad one, several that differ, or too many sockets.
    """
    try:
        found = set(tokens_offered(scope, fields))
        if (
            not found
            and route.access is routes.Access.GUESTS
            and context.settings.allow_guest_voice
        ):
            await context.admission.public(route, counted)
            return None
        if len(found) != 1:
            raise InvalidToken
        (token,) = found
        await context.admission.guarded(token, counted)
    except InvalidToken:
        raise Closed(TOKEN) from None
    except refusals.RateLimited:
        raise Closed(TOO_MANY) from None
    except DomainError:
        raise Closed(TRY_LATER) from None
    return token


async def _open(
    context: Context,
    pool: Pool,
    scope: Scope,
    fields: Mapping[bytes, bytes],
    token: str | None,
    client: str,
) -> ClientConnection:
    """The socket to the service; it gets the token in `Authorization` alone.

    Raises:
        Closed: the service refuses, answers something else or cannot be reached.
    """
    others = [name for name in scope.get("subprotocols", []) if name not in (BEARER, token)]
    with _asking(pool):
        return await connect(
            _address(pool, scope),
            additional_headers=_headers(scope, fields, token, client),
            subprotocols=[Subprotocol(name) for name in others] or None,
            compression=None,  # it would be paid for twice within one machine or network
            max_size=context.settings.max_body,
            open_timeout=context.settings.connect_timeout + context.settings.first_byte_timeout,
            close_timeout=1,
            user_agent_header=None,
            proxy=None,
        )


@contextmanager
def _asking(pool: Pool) -> Iterator[None]:
    """Tells the circuit what became of an opening: what is away, too slow, breaks off or speaks no
    HTTP has failed, and every other answer is one. Raises Closed for what is no open socket."""
    try:
        yield
    except exceptions.InvalidStatus as refused:
        pool.judge(refused.response.status_code)
        raise Closed(_REFUSED.get(refused.response.status_code, FAILED)) from None
    except (OSError, exceptions.ConnectionClosed, exceptions.InvalidMessage):
        pool.circuit.failed()
        raise Closed(TRY_LATER) from None
    except exceptions.WebSocketException:
        pool.circuit.answered()
        raise Closed(FAILED) from None
    pool.circuit.answered()


def _address(pool: Pool, scope: Scope) -> str:
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    rest = urlencode(
        [(name, value) for name, value in query if name != "token"], encoding="latin-1"
    )
    path = scope["raw_path"].decode("ascii")
    return f"ws{pool.url.removeprefix('http')}{path}{'?' if rest else ''}{rest}"


def _headers(
    scope: Scope, fields: Mapping[bytes, bytes], token: str | None, client: str
) -> list[tuple[str, str]]:
    lines = door.about_client(scope, fields, client).decode("latin-1").splitlines()
    pairs = [line.partition(": ")[::2] for line in lines]
    for name, value in scope["headers"]:
        own = name == b"authorization" or name.startswith(b"sec-websocket-")
        if headers.goes_up(name) and not own:
            pairs.append((name.decode("latin-1"), value.decode("latin-1")))
    if token is not None:
        pairs.append(("authorization", f"Bearer {token}"))
    return pairs


async def _carry(service: ClientConnection, receive: Receive, send: Send, limit: int) -> int | None:
    """Carries messages until one side ends; the code to close the client with, None if it left."""
    up = asyncio.create_task(_upwards(service, receive, limit))
    down = asyncio.create_task(_downwards(service, send))
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        ended = up if up.done() else down
        return ended.result()
    except OSError:  # the client went while something was being sent to it
        return None
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _upwards(service: ClientConnection, receive: Receive, limit: int) -> int | None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            await _close(service, message.get("code", NO_CODE), message.get("reason") or "")
            return None
        data = message.get("bytes")
        if data is None:
            data = message["text"]
        if _length(data) > limit:
            await _close(service, TOO_BIG, "")
            return TOO_BIG
        try:
            await service.send(data)
        except exceptions.ConnectionClosed:
            return _code_of(service)


async def _downwards(service: ClientConnection, send: Send) -> int:
    try:
        while True:
            data = await service.recv()
            kind = "text" if isinstance(data, str) else "bytes"
            await send({"type": "websocket.send", kind: data})
    except exceptions.ConnectionClosed:
        return _code_of(service)


async def _close(service: ClientConnection, code: int, reason: str) -> None:
    """Tells the service why the client went."""
    sendable = {NO_CODE: 1000, ABNORMAL: GOING_AWAY}.get(code, code)
    await service.close(sendable, reason)


def _code_of(service: ClientConnection) -> int:
    """The service's closing code as one that may be sent on."""
    code = service.close_code
    if code is None or code == ABNORMAL:
        _log.warning("socket.cut")
        return FAILED
    return 1000 if code == NO_CODE else code


def _length(data: str | bytes) -> int:
    """Bytes on the wire."""
    if isinstance(data, bytes) or data.isascii():
        return len(data)
    return len(data.encode())
