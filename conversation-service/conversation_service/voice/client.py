"""The voice service as this one calls it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx

import tokens
from contracts.voice import RecordedTurns
from kit import outgoing, trace
from kit.database import Clock
from kit.errors import ServiceUnavailable

ASK_WITHIN = httpx.Timeout(5, connect=1)


class VoiceSessions:
    """Sessions, as far as their turns go."""

    def __init__(self, http: httpx.AsyncClient, url: str, secret: str, clock: Clock) -> None:
        self._http = http
        self._url = url
        self._secret = secret
        self._clock = clock

    async def turns(
        self, session_id: UUID, after: int, *, elsewhere: bool = False
    ) -> RecordedTurns | None:
        """The turns of a session beyond a number; None when there is no such session.

        `elsewhere` ends it where nobody is in it: the conversation goes on in writing.

        Raises:
            ServiceUnavailable
        """
        token = tokens.service_token(
            self._secret, caller="conversation", audience="voice", now=self._clock()
        )
        try:
            answer = await self._http.get(
                f"{self._url}/internal/sessions/{session_id}/turns",
                params={"after": after, "elsewhere": elsewhere},
                headers={**trace.outgoing_headers(), "authorization": f"Bearer {token}"},
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
    async with httpx.AsyncClient(
        timeout=ASK_WITHIN, trust_env=False, verify=outgoing.trusted()
    ) as http:
        yield VoiceSessions(http, url.rstrip("/"), secret, clock)
