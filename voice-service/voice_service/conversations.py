"""The conversation service as this one calls it, in the name of a person."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx

import tokens
from contracts.voice import AskHistory, Channel, History, OpenConversation
from kit import outgoing
from kit.database import Clock
from kit.errors import NotFound, ServiceUnavailable

ASK_WITHIN = httpx.Timeout(10, connect=2)


class Conversations:
    """Every call answers NotFound for what is not that person's."""

    def __init__(self, http: httpx.AsyncClient, auth: tokens.ServiceAuth) -> None:
        self._http, self._auth = http, auth

    async def open(
        self,
        owner_id: UUID,
        conversation_id: UUID,
        *,
        session_id: UUID,
        channel: Channel,
        guest: bool,
        make: bool,
    ) -> None:
        """Makes the conversation unless it exists, and announces the session in it."""
        wanted = OpenConversation(session_id=session_id, channel=channel, guest=guest, make=make)
        await self._call(
            "PUT", f"/internal/conversations/{conversation_id}/voice", owner_id, wanted
        )

    async def history(self, owner_id: UUID, conversation_id: UUID, asked: AskHistory) -> History:
        """Messages of the conversation."""
        answer = await self._call(
            "POST", f"/internal/conversations/{conversation_id}/history", owner_id, asked
        )
        return History.model_validate_json(answer.content)

    async def _call(self, method: str, path: str, owner_id: UUID, body: Any) -> httpx.Response:
        try:
            answer = await self._http.request(
                method,
                path,
                content=body.model_dump_json(),
                headers={"content-type": "application/json"},
                auth=self._auth.acting_for(owner_id),
            )
        except httpx.HTTPError as away:
            raise ServiceUnavailable("Conversations are not available now.") from away
        if answer.status_code == 404:
            raise NotFound
        if answer.is_error:
            raise ServiceUnavailable("Conversations are not available now.")
        return answer


@asynccontextmanager
async def open_conversations(url: str, secret: str, clock: Clock) -> AsyncIterator[Conversations]:
    """A client for as long as the block lasts."""
    auth = tokens.ServiceAuth(secret, caller="voice", audience="conversation", clock=clock)
    async with outgoing.to_services(base_url=url, timeout=ASK_WITHIN) as http:
        yield Conversations(http, auth)
