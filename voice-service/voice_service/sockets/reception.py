"""The desk of the sockets: sessions of this service, run by the spoken assistant in its process."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import jwt

from assistant import safety
from contracts.voice import EndReason, Heartbeat, Plan
from kit import background, logs
from kit.backbone import Backbone
from kit.database import CONNECTION_ERRORS, Clock, utc_now
from kit.errors import DomainError, Forbidden, InvalidToken, ServiceUnavailable
from kit.identity import Actor
from kit.signals import Signals
from tokens import Verifier
from voice_service.agent.ports import Audience, Running, Transport
from voice_service.agent.resources import Resources
from voice_service.agent.supervisor import Supervisor
from voice_service.sessions import actions, counting
from voice_service.sessions import store as rows
from voice_service.sessions.actions import ITSELF, Sessions
from voice_service.sessions.models import (
    AllBusy,
    CreateSession,
    Row,
    SessionOver,
    TooManySessions,
)
from voice_service.settings import Settings
from voice_service.sockets import store
from voice_service.sockets.desk import Found
from voice_service.sockets.fullness import Fullness
from voice_service.sockets.link import LocalLink
from voice_service.sockets.warming import Warm

STOPS_WITHIN = 25.0
"""Seconds until a service that is told to stop does so, whether all turns are recorded or not."""

_log = logs.get(__name__)


class Reception:
    """See `desk.Desk`. `job` names this process among those that run sessions."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        signals: Signals,
        verifier: Verifier,
        warm: Warm,
        fullness: Fullness,
        *,
        clock: Clock,
        job: str,
    ) -> None:
        self._settings, self._sessions, self._signals = settings, sessions, signals
        self._verifier, self._warm, self._fullness = verifier, warm, fullness
        self._clock, self._job = clock, job
        self._longest = timedelta(seconds=settings.voice_max_seconds)
        self._running: set[Running] = set()
        self._watching: set[asyncio.Task[None]] = set()
        self._resources: Resources | None = None

    async def warm(self) -> None:
        """Opens what sessions share, unless it is open; a call after this begins at once.

        Raises:
            ServiceUnavailable: it cannot be opened now.
        """
        await self._warm.get()

    async def admit(self, tokens: Collection[str], *, guests: bool) -> Actor:
        """The person of the one token; a new guest without any, if `guests` may come here."""
        if not tokens and guests and self._settings.allow_guest_voice:
            return Actor(uuid.uuid4(), "guest")
        if len(tokens) != 1:
            raise InvalidToken
        (token,) = tokens
        actor = await self._verifier.verify(token)
        if actor.kind == "guest" and not self._settings.allow_guest_voice:
            raise Forbidden("Voice is for those who are signed in.")
        return actor

    async def still_in(self, caller: Actor) -> bool:
        """Whether the caller has not signed out; a token that runs out during a call may."""
        if caller.token is None:
            return True
        try:
            await self._verifier.verify(caller.token)
        except InvalidToken:
            return _expired(caller.token, self._clock())
        except DomainError:
            return True
        return True

    async def open(self, caller: Actor, conversation_id: UUID | None, locale: str) -> Plan:
        """A new session of channel `websocket`."""
        self._resources = await self._warm.get()
        if caller.kind == "guest":
            await self._check_guests()
        self._check_fullness(locale)
        wanted = CreateSession(conversation_id=conversation_id)
        row = await actions.create(
            self._sessions, caller, wanted, channel="websocket", locale=locale
        )
        return await self._take(row.id)

    async def find(self, caller: Actor, session_id: UUID) -> Found:
        """How a session is that has not ended."""
        row = await self._open_row(caller, session_id)
        return Found(row.status, row.agent_state or "initializing")

    async def changed(self, caller: Actor, session_id: UUID, known: Found) -> Found:
        """How a session is, as soon as that is new; a database that is away is waited for."""
        with self._signals.on(rows.changed(session_id)) as woken:
            while True:
                try:
                    async with self._sessions.db.transaction(caller) as tx:
                        row = await actions.require(tx, session_id)
                except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
                    _log.warning("changes.waiting", **logs.failure(error))
                else:
                    found = Found(row.status, row.agent_state or known.agent_state)
                    if found != known:
                        return found
                await woken()

    async def join(self, caller: Actor, session_id: UUID) -> Plan:
        """The plan of a session that is about to run here."""
        row = await self._open_row(caller, session_id)
        self._resources = await self._warm.get()
        self._check_fullness(row.locale)
        return await self._take(session_id)

    async def attended(self, session_id: UUID, *, there: bool) -> None:
        """Tells it at once: whoever has left may be elsewhere in the same moment, or back."""
        try:
            async with self._sessions.db.transaction(ITSELF) as tx:
                await store.attended(tx, session_id, there=there)
        except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
            _log.warning("beat.lost", **logs.failure(error))

    async def end(self, caller: Actor, session_id: UUID, reason: EndReason) -> None:
        """Ends a session that does not run here."""
        async with self._sessions.db.transaction(caller) as tx:
            await actions.require(tx, session_id, lock=True)
            await actions.end(tx, session_id, reason)

    def run(self, plan: Plan, transport: Transport, show: Audience) -> Running:
        """The session, ready to be started."""
        assert self._resources is not None
        link = LocalLink(self._sessions, self._signals, plan.session_id, self._longest, self._job)
        running = Supervisor(plan, link, transport, self._resources, show=show)
        self._running.add(running)
        watching = asyncio.create_task(self._forget(running))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return running

    async def aclose(self) -> None:
        """Ends every session that runs here; a database that takes no turns is not waited for
        until they would give up."""
        ending = [asyncio.create_task(running.end("drained")) for running in self._running]
        if ending:
            _, left = await asyncio.wait(ending, timeout=STOPS_WITHIN)
            if left:
                _log.error("voice.turns_not_recorded", sessions=len(left))
        await background.ended(*self._watching)

    async def _forget(self, running: Running) -> None:
        await running.closed()
        self._running.discard(running)

    async def _open_row(self, caller: Actor, session_id: UUID) -> Row:
        async with self._sessions.db.transaction(caller) as tx:
            row = await actions.require(tx, session_id)
        if row.over:
            raise SessionOver
        return row

    async def _take(self, session_id: UUID) -> Plan:
        """Makes the session this process's.

        Raises:
            SessionTaken: it runs elsewhere.
        """
        mine = Heartbeat(agent_state="initializing", job=self._job)
        await actions.beat(self._sessions.db, session_id, mine, longest=self._longest)
        async with self._sessions.db.transaction(ITSELF) as tx:
            await store.speak_by_socket(tx, session_id)
        return await actions.plan(self._sessions, session_id)

    def _check_fullness(self, locale: str) -> None:
        if not self._fullness.admit(others=bool(self._running)):
            counting.refused()
            number = safety.emergency_number(locale)
            raise AllBusy(f"{AllBusy.__doc__} In an emergency, call {number} at once.")

    async def _check_guests(self) -> None:
        async with self._sessions.db.transaction(ITSELF) as tx:
            if await store.count_guests(tx) >= self._settings.voice_guest_sessions:
                raise TooManySessions("There are as many guests as may be; try again later.")


def _expired(token: str, now: datetime) -> bool:
    claims = jwt.decode(token, options={"verify_signature": False})  # it was verified before
    return float(claims["exp"]) <= now.timestamp()


@asynccontextmanager
async def open_desk(
    settings: Settings, backbone: Backbone, sessions: Sessions, verifier: Verifier
) -> AsyncIterator[Reception]:
    """The desk; on leaving, the sessions of this process end before what they need."""
    warm = Warm(settings)
    if settings.voice_prewarm:
        warm.begin()
    job = f"socket-{uuid.uuid4()}"
    fullness = Fullness(settings.voice_max_load)
    desk = Reception(
        settings, sessions, backbone.signals, verifier, warm, fullness, clock=utc_now, job=job
    )
    try:
        async with background.running(fullness=fullness.watch):
            yield desk
    finally:
        await desk.aclose()
        await warm.aclose()
