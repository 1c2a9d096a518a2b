"""The voice service as this one calls it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx

import tokens
from contracts.voice import RecordedTurns
from kit import outgoing
from kit.database import Clock
from kit.errors import ServiceUnavailable

ASK_WITHIN = httpx.Timeout(5, connect=1)


class VoiceSessions:
    """Sessions, as far as their turns go."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def turns(
        self, session_id: UUID, after: int, *, elsewhere: bool = False
    ) -> RecordedTurns | None:
        """The turns of a session beyond a number; None when there is no such session.

        `elsewhere` ends it where nobody is in it: the conversation goes on in writing.

        Raises:
            ServiceUnavailable
        """
        try:
            answer = await self._http.get(
                f"/internal/sessions/{session_id}/turns",
                params={"after": after, "elsewhere": elsewhere},
            )
        except httpx.HTTPError as away:
            raise ServiceUnavailable from away
        if answer.status_code == 404:
            return None
        if answer.is_error:
            raise ServiceUnavailable
        return RecordedTurns.model_validate_json(answer.content)


@asynccontextmanager
async def open_voice_sessions(url: str, secret: str, clock: Clock) -> AsyncIterator[VoiceSessions]:
    """A client for as long as the block lasts."""
    auth = tokens.ServiceAuth(secret, caller="conversation", audience="voice", clock=clock)
    async with outgoing.to_services(base_url=url, auth=auth, timeout=ASK_WITHIN) as http:
        yield VoiceSessions(http)
