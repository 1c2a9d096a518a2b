"""Carries one HTTP request to a service once it is whole, and its answer back as it comes."""

import asyncio
import time
from functools import partial

from starlette.types import Receive, Send

from api_gateway import events, headers, refusals
from api_gateway.connection import ClientLeft, Connection, Cut
from api_gateway.pool import Pool
from api_gateway.request import Body, Request, opening_of
from api_gateway.room import Place
from kit import logs
from telemetry import catalogue

_log = logs.get(__name__)

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

AGAIN_AFTER = 0.1
"""Seconds until a service that refused a connection is tried once more."""


async def relay(
    request: Request, pool: Pool, own: headers.Pairs, receive: Receive, send: Send
) -> None:
    """Answers with what the service at `pool` answers, and the headers `own`.

    A service that breaks off in the middle leaves the client's answer visibly unfinished: cut, or
    in a stream of events ended by an `error`.

    Raises:
        Refusal: nothing has been sent yet.
    """
    body = Body(request, receive, pool)
    connection: Connection | None = None
    place: Place | None = None
    try:
        await body.read()
        place = await _place(request, pool)
        started = time.perf_counter()
        connection = await _ask(request, body, pool)
        catalogue.UPSTREAM_SECONDS.observe(time.perf_counter() - started, pool.name)
        pairs, connection.streaming = headers.downstream(connection.headers, connection.status)
        if connection.streaming:
            place.move(pool.streams)
        await _pass_down(connection, pairs + own, send, pool.name)
    except ClientLeft:
        return
    finally:
        body.close()
        if connection is not None:
            pool.release(connection, reusable=True)
        if place is not None:
            place.leave()


async def _pass_down(connection: Connection, pairs: headers.Pairs, send: Send, name: str) -> None:
    """Answers; from now on whatever breaks can only cut the answer."""
    try:
        await _answer(connection, pairs, send, name)
    except ClientLeft:
        return
    except (Cut, refusals.Refusal) as ended:
        _log.warning("answer.cut", service=name, reason=type(ended).__name__)
    except Exception as bug:
        _log.error("answer.failed", service=name, **logs.failure(bug))


async def _place(request: Request, pool: Pool) -> Place:
    """A place at the service, among those of its kind.

    Raises:
        CircuitOpen, Overloaded
    """
    pool.admit()
    if request.patient:
        pool.streams.enter_now()
        return Place(pool.streams)
    await pool.requests.enter()
    place = Place(pool.requests)
    try:
        pool.admit()  # it may have opened meanwhile
        if request.stream:
            place.claim(pool.streams)  # before the service has done anything for it
    except refusals.Refusal:
        place.leave()
        raise
    return place


async def _ask(request: Request, body: Body, pool: Pool) -> Connection:
    """Sends the request, waits for the head of the answer. The caller releases the connection."""
    connection = pool.waiting() or await _connect(request, pool)
    try:
        await _exchange(request, body, connection)
    except BaseException as failed:
        if isinstance(failed, (refusals.BadAnswer, refusals.TimedOut)):
            pool.circuit.failed()
        pool.release(connection, reusable=False)
        raise
    pool.judge(connection.status)
    return connection


async def _exchange(request: Request, body: Body, connection: Connection) -> None:
    connection.begin(bodiless=request.method == "HEAD", watch=partial(body.listen, connection))
    connection.patient, connection.endless = request.patient, request.endless
    connection.write(opening_of(request, body.taken()))
    await connection.head()


async def _connect(request: Request, pool: Pool) -> Connection:
    """A new connection; one that was refused has reached nobody, so it is tried once more."""
    try:
        return await pool.fresh()
    except refusals.TimedOut:
        pool.circuit.failed()
        raise
    except refusals.Unavailable:
        pool.circuit.failed()
        if request.method not in _IDEMPOTENT:
            raise
    await asyncio.sleep(AGAIN_AFTER)
    pool.admit()
    try:
        return await pool.fresh()
    except (refusals.TimedOut, refusals.Unavailable):
        pool.circuit.failed()
        raise


async def _answer(connection: Connection, pairs: headers.Pairs, send: Send, name: str) -> None:
    await send({"type": "http.response.start", "status": connection.status, "headers": pairs})
    if connection.done:  # whole already: the common case, in one message
        await send({"type": "http.response.body", "body": connection.taken()})
        return
    if events.told(pairs):
        await _tell(connection, send, name)
        return
    more = True
    while more:
        part = await connection.chunk()
        more = not connection.done
        await send({"type": "http.response.body", "body": part, "more_body": more})


async def _tell(connection: Connection, send: Send, name: str) -> None:
    """Passes on a stream of events; where it breaks off, its last event says so by a code.

    One without an end merely ends: its readers come again in any case.
    """
    passing, more = events.Passing(), True
    while more:
        try:
            part = passing.take(await connection.chunk())
        except (Cut, refusals.Refusal) as ended:
            if not passing.between:
                raise
            refused = ended if isinstance(ended, refusals.Refusal) else refusals.StreamCut()
            if not isinstance(refused, refusals.Restarting):
                _log.warning("answer.cut", service=name, reason=type(ended).__name__)
            catalogue.REFUSALS.add(refused.code)
            last = b"" if connection.endless else events.last(refused)
            await send({"type": "http.response.body", "body": last})
            return
        more = not connection.done
        if not more:
            part += passing.rest()
        if part or not more:
            await send({"type": "http.response.body", "body": part, "more_body": more})
