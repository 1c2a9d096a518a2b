"""The media server, by its own API: tokens for callers, agents for rooms, rooms closed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import aiohttp
from livekit import api
from livekit.protocol.agent import JobStatus

from kit import logs
from kit.circuit import Circuit
from telemetry import traceparent
from voice_service.settings import Settings

AGENT_NAME = "medbot"
"""Workers register under this name; rooms get no agent but by explicit dispatch."""

ASK_WITHIN = 5.0
"""Seconds for an answer of its API; the client itself, whatever it is told, has no limit."""

FAILURES = 3
PAUSE = 5.0
"""After so many questions in a row without an answer it is not asked for so many seconds."""

EMPTY_TIMEOUT = 300
DEPARTURE_TIMEOUT = 20
"""Seconds that a room waits for the first caller, and for one who may come back."""

_AT_WORK = (JobStatus.JS_PENDING, JobStatus.JS_RUNNING)

SILENT = (aiohttp.ClientError, TimeoutError, OSError)
"""What a media server that gives no answer makes its client raise."""

AWAY = (*SILENT, api.ServerError)
"""The same, and what one raises that does not do what it is asked for."""

_log = logs.get(__name__)


def metadata(session_id: UUID) -> str:
    """What an agent is sent with: which session it is and whose trace it continues, nothing about
    the person."""
    context = traceparent.get()
    return json.dumps(
        {"session_id": str(session_id), **({"traceparent": context} if context else {})}
    )


def _circuit() -> Circuit:
    return Circuit("livekit", failures=FAILURES, pause=PAUSE)


@dataclass(frozen=True, slots=True)
class Media:
    """One media server, where callers reach it, and the key that this installation has there.

    Whatever asks it raises what is in AWAY; one that keeps giving no answer is left alone for a
    while, and nobody waits for it.
    """

    url: str
    key: str
    secret: str
    client: api.LiveKitAPI
    circuit: Circuit = field(default_factory=_circuit, repr=False)

    def token(self, session_id: UUID, room: str, identity: str, ttl: timedelta) -> str:
        """A token to join `room`, which brings the agent when the room is made."""
        grants = api.VideoGrants(
            room_join=True,
            room=room,
            can_publish=True,
            can_publish_sources=["microphone"],
            can_subscribe=True,
            can_publish_data=True,
        )
        wanted = api.RoomConfiguration(
            empty_timeout=EMPTY_TIMEOUT,
            departure_timeout=DEPARTURE_TIMEOUT,
            agents=[api.RoomAgentDispatch(agent_name=AGENT_NAME, metadata=metadata(session_id))],
        )
        return (
            api.AccessToken(self.key, self.secret)
            .with_identity(identity)
            .with_ttl(ttl)
            .with_grants(grants)
            .with_room_config(wanted)
            .to_jwt()
        )

    async def send_agent(self, session_id: UUID, room: str) -> bool:
        """Dispatches the agent unless a job for it is at work; whether one was dispatched.

        A job that no worker took was dropped by the media server: only asking shows it.
        """
        async with self._asking():
            for dispatch in await self.client.agent_dispatch.list_dispatch(room):
                if any(job.state.status in _AT_WORK for job in dispatch.state.jobs):
                    return False
            await self.client.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(
                    agent_name=AGENT_NAME, room=room, metadata=metadata(session_id)
                )
            )
        return True

    async def close_room(self, room: str) -> None:
        """Ends a room for everybody in it; nothing if there is none."""
        try:
            async with self._asking():
                await self.client.room.delete_room(api.DeleteRoomRequest(room=room))
        except api.ServerError as refused:
            if refused.code != "not_found":
                raise

    async def made_again(self, room: str, sid: str) -> bool:
        """Whether there is a room of this name, but not the one with this id."""
        async with self._asking():
            found = await self.client.room.list_rooms(api.ListRoomsRequest(names=[room]))
        return any(each.sid != sid for each in found.rooms)

    async def ping(self) -> None:
        """Raises when the media server does not answer."""
        async with self._asking():
            await self.client.room.list_rooms(api.ListRoomsRequest(names=["none"]))

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """One question, or several that belong together."""
        if not self.circuit.admits():
            raise ConnectionError("left alone for a while")
        try:
            async with asyncio.timeout(ASK_WITHIN):
                yield
        except SILENT:
            self.circuit.failed()
            raise
        except api.ServerError:  # an answer, if not the one that was wanted
            self.circuit.answered()
            raise
        self.circuit.answered()

    def heard(self, body: bytes, authorization: str) -> api.WebhookEvent:
        """An event of a webhook whose signature is right.

        Raises:
            ValueError: it is not; the message does not say why.
        """
        receiver = api.WebhookReceiver(api.TokenVerifier(self.key, self.secret))
        try:
            return receiver.receive(body.decode(), authorization)
        except Exception as forged:  # the library raises all sorts, some of them bare
            raise ValueError("not signed by the media server") from forged


@asynccontextmanager
async def open_media(settings: Settings) -> AsyncIterator[Media | None]:
    """The media server that the settings name; None where they name none."""
    secret = settings.livekit_api_secret
    if settings.livekit_url is None or settings.livekit_api_key is None or secret is None:
        yield None
        return
    plain = secret.get_secret_value()
    async with api.LiveKitAPI(
        settings.livekit_url, settings.livekit_api_key, plain, failover=False
    ) as client:
        public = settings.livekit_public_url or settings.livekit_url
        yield Media(public, settings.livekit_api_key, plain, client)
