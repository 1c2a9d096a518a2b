"""The steps of every request: read, judge, route, let in, pass on."""

import json
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from api_gateway import clients, cors, headers, refusals, relay, routes
from api_gateway.context import Context
from api_gateway.pool import Pool
from api_gateway.request import Request
from kit import logs, trace
from kit.errors import DomainError, InvalidToken
from serving import problems
from telemetry import CONTENT_TYPE, Kind, Span, catalogue

_log = logs.get(__name__)

MAX_TARGET = 8 * 1024
MAX_HEADER_COUNT = 100
READ_ONLY = ("GET", "HEAD")
PROBES = ("/health", "/ready", "/metrics")
ROUTE = "medbot.route"
"""Where in its scope the template of a request's route stands, once it is known."""


async def handle(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers one HTTP request."""
    fields: dict[bytes, bytes] = dict(scope["headers"])
    scope["scheme"] = clients.scheme(scope, trusted_proxies=context.settings.trusted_proxies)
    own = _own_headers(context, scope, fields)
    try:
        check_headers(context, scope, fields)
        await _serve(context, scope, fields, receive, send, own)
    except refusals.Refusal as refused:
        log = not isinstance(refused, refusals.NotAsked)
        await _refuse(send, refused.problem(), own, list(refused.headers), log=log)
    except DomainError as refused:
        await _refuse(send, problems.of_domain(refused), own, _hints(refused))
    except Exception as bug:  # the client gets a problem, the log the place
        await _refuse(send, problems.of_unexpected(bug), own, [])


def bearer(authorization: bytes | None) -> str:
    """The token of an Authorization header.

    Raises:
        InvalidToken: there is none.
    """
    scheme, _, token = (authorization or b"").partition(b" ")
    if scheme != b"Bearer" and scheme.lower() != b"bearer":
        raise InvalidToken
    try:
        return token.strip().decode("ascii")
    except UnicodeDecodeError:
        raise InvalidToken from None


def find_route(scope: Scope) -> routes.Route:
    """The route of a request or a socket.

    Raises:
        TargetTooLong, MalformedPath, UnknownPath
    """
    raw_path: bytes = scope["raw_path"]
    if len(raw_path) + len(scope["query_string"]) > MAX_TARGET:
        raise refusals.TargetTooLong
    if not routes.canonical(raw_path):
        raise refusals.MalformedPath
    route = routes.TABLE.find(raw_path.decode("ascii"))
    if route is None:
        raise refusals.UnknownPath
    scope[ROUTE] = route.path
    return route


def check_headers(context: Context, scope: Scope, fields: Mapping[bytes, bytes]) -> None:
    """Judges the headers, which are `fields` by name.

    Raises:
        HeadersTooLarge
        RepeatedHeader: one that decides something is there twice, or a line break hides in one.
    """
    raw = scope["headers"]
    if len(fields) == len(raw):
        text = b"".join((*fields, *fields.values(), scope["query_string"]))
    else:
        headers.refuse_repeated(raw, fields)
        text = b"".join([*map(b"".join, raw), scope["query_string"]])
    if len(raw) > MAX_HEADER_COUNT or len(text) > context.settings.max_headers:
        raise refusals.HeadersTooLarge
    if b"\n" in text or b"\r" in text or b"\0" in text:
        raise refusals.RepeatedHeader


def about_client(scope: Scope, fields: Mapping[bytes, bytes], client: str) -> bytes:
    """The header lines in which the gateway says who asked, and under which id."""
    return (
        b"x-forwarded-proto: %b\r\nx-forwarded-for: %b\r\nx-forwarded-host: %b\r\n"
        b"x-request-id: %b\r\ntraceparent: %b\r\n"
    ) % (
        b"https" if scope["scheme"] in ("https", "wss") else b"http",
        client.encode("ascii", "replace"),
        fields.get(b"host", b""),
        trace.request_id.get().encode(),
        trace.traceparent.get().encode(),
    )


def identify(fields: Mapping[bytes, bytes]) -> bytes:
    """Names the request, as the client does if that is sane; the name."""
    offered = fields.get(b"x-request-id")
    request_id = trace.accept_request_id(offered.decode("latin-1") if offered else None)
    trace.request_id.set(request_id)
    return request_id.encode()


def _own_headers(context: Context, scope: Scope, fields: Mapping[bytes, bytes]) -> headers.Pairs:
    """What every answer carries, whatever it says."""
    own = [(b"x-request-id", identify(fields)), *headers.SECURITY]
    if scope["scheme"] == "https":
        own.append(headers.TRANSPORT_SECURITY)
    if (origin := fields.get(b"origin")) is not None:
        own += context.cors.on_answer(origin)
    return own


async def _serve(
    context: Context,
    scope: Scope,
    fields: dict[bytes, bytes],
    receive: Receive,
    send: Send,
    own: headers.Pairs,
) -> None:
    method: str = scope["method"]
    if method not in routes.METHODS:
        raise refusals.MethodNotAllowed(routes.METHODS)
    if cors.is_preflight(method, fields):
        allowed = context.cors.on_preflight(fields[b"origin"])
        await _send(send, 204, [own[0], *headers.SECURITY, *allowed], b"")
        return
    if scope["path"] in context.pages or scope["path"] in PROBES:
        await _own_page(context, scope, send, own)
        return
    if scope["raw_path"].endswith(b"/") and routes.canonical(scope["raw_path"]):
        location = target(scope["raw_path"][:-1], scope["query_string"])
        await _send(send, 308, [(b"location", location), *own], b"")
        return
    await _pass_on(context, scope, fields, receive, send, own)


async def _pass_on(
    context: Context,
    scope: Scope,
    fields: dict[bytes, bytes],
    receive: Receive,
    send: Send,
    own: headers.Pairs,
) -> None:
    """Takes a request to its service, if its sender may go there."""
    route = find_route(scope)
    method: str = scope["method"]
    if route.methods is not None and method not in route.methods:
        raise refusals.MethodNotAllowed(route.methods)
    client = clients.address(scope, trusted_proxies=context.settings.trusted_proxies)
    counted = clients.counted(client)
    if route.access is routes.Access.PUBLIC or method in route.unguarded:
        own += await context.admission.public(route, counted)
    else:
        token = bearer(fields.get(b"authorization"))
        own += await context.admission.guarded(token, counted)
    pool = context.pools.get(route.service)
    if pool is None:
        raise refusals.Unavailable
    stream = b"text/event-stream" in fields.get(b"accept", b"")
    patient = not stream and routes.asks_for_reply(method, scope["path"])
    pool.refuse_early(patient=patient)
    asked = {"http.request.method": method, "url.template": route.path, "peer.service": pool.name}
    with Span(f"{method} {route.path}", Kind.CLIENT, asked):
        request = _request(context, scope, fields, pool, client)
        request.endless, request.stream, request.patient = route.endless, stream, patient
        await relay.relay(request, pool, own, receive, send)


def _request(
    context: Context, scope: Scope, fields: Mapping[bytes, bytes], pool: Pool, client: str
) -> Request:
    lines = headers.upstream(scope["headers"], fields.get(b"connection"))
    lines.append(b"host: %b\r\n" % pool.authority)
    lines.append(about_client(scope, fields, client))
    if pool.name == "auth":
        lines.append(context.proof.lines(client))
    return Request(
        method=scope["method"],
        target=target(scope["raw_path"], scope["query_string"]),
        lines=lines,
        length=_length(fields, context.settings.max_body),
        max_body=context.settings.max_body,
    )


def target(raw_path: bytes, query: bytes) -> bytes:
    """What stands in the request line."""
    return b"%b?%b" % (raw_path, query) if query else raw_path


def _length(fields: Mapping[bytes, bytes], limit: int) -> int | None:
    """The stated size of the body: 0 without one, None when it comes in chunks."""
    stated, chunked = fields.get(b"content-length"), b"transfer-encoding" in fields
    if stated is None:
        return None if chunked else 0
    if chunked or not stated.isdigit():
        raise refusals.RepeatedHeader
    if int(stated) > limit:
        raise refusals.BodyTooLarge
    return int(stated)


async def _own_page(context: Context, scope: Scope, send: Send, own: headers.Pairs) -> None:
    """Answers what the gateway serves itself."""
    if scope["method"] not in READ_ONLY:
        raise refusals.MethodNotAllowed(READ_ONLY)
    scope[ROUTE] = scope["path"]
    if (page := context.pages.get(scope["path"])) is not None:
        named = {name for name, _ in page.headers}
        rest = [pair for pair in own if pair[0] not in named]
        await _send(send, page.status, page.headers + rest, page.body)
        return
    status, body, kind = 200, context.health, b"application/json"
    if scope["path"] == "/ready":
        ready = await context.readiness.answer(draining=context.drain.announced)
        status, body = ready.status_code, bytes(ready.body)
    elif scope["path"] == "/metrics":
        body, kind = await _metrics(context, scope), CONTENT_TYPE.encode()
    pairs = [(b"content-type", kind), (b"cache-control", b"no-store"), *own]
    await _send(send, status, pairs, body)


async def _metrics(context: Context, scope: Scope) -> bytes:
    """What was counted, for those alone who look after the gateway.

    Raises:
        UnknownPath: to anybody else.
    """
    authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
    if not context.readers.may(authorization, None):
        raise refusals.UnknownPath
    return await context.telemetry.page()


async def _refuse(
    send: Send,
    problem: Mapping[str, object],
    own: headers.Pairs,
    more: headers.Pairs,
    *,
    log: bool = True,
) -> None:
    kind = (b"content-type", problems.MEDIA_TYPE.encode())
    pairs = [kind, (b"cache-control", b"no-store"), *more, *own]
    status = problem["status"]
    assert isinstance(status, int)
    catalogue.REFUSALS.add(str(problem["code"]))
    if status >= 500 and log:
        _log.warning("request.refused", status=status, code=problem["code"])
    await _send(send, status, pairs, json.dumps(problem).encode())


def _hints(refused: DomainError) -> headers.Pairs:
    pairs = [(b"www-authenticate", b"Bearer")] if isinstance(refused, InvalidToken) else []
    if refused.retry_after is not None:
        pairs.append((b"retry-after", b"%d" % refused.retry_after))
    return pairs


async def _send(send: Send, status: int, pairs: headers.Pairs, body: bytes) -> None:
    if status not in (204, 304) and not any(name == b"content-length" for name, _ in pairs):
        pairs = [*pairs, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
