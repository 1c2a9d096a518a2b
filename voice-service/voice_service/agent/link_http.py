"""The voice service from another process, over HTTP with a service token."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx
import structlog
from pydantic import ValidationError

import tokens
from contracts.voice import Changes, Fallback, Heartbeat, Plan, SpokenTurn
from kit import outgoing
from telemetry import Kind, Span, catalogue
from voice_service.agent.ports import SessionGone, SessionLost

CALLER, AUDIENCE = "agent", "voice"
AGAIN_AFTER = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts; the last one holds from then on."""
POLLS_WITHIN = 40.0
"""Seconds for a call; a long poll takes up to 25."""
MOST_FALLBACKS = 50
"""Kinds of fallbacks that one sign of life tells of; the next one tells of the others."""
_FOR_NOW = frozenset({401, 408, 425, 429})
"""Refusals that may pass, beside those of 500 and above."""

_log = structlog.stdlib.get_logger(__name__)


class Away(Exception):
    """The voice service does not answer now."""


class HttpLink:
    """One session's link; `job` tells who runs it."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        session_id: UUID,
        *,
        secret: str,
        job: str,
        now: Callable[[], datetime],
    ) -> None:
        self._http, self._job = http, job
        self._auth = tokens.ServiceAuth(secret, caller=CALLER, audience=AUDIENCE, clock=now)
        self._path = f"/internal/sessions/{session_id}"
        self._told: Counter[tuple[str, ...]] = Counter()  # fallbacks that the service counts

    async def plan(self) -> Plan:
        """What to begin with.

        Raises:
            SessionLost, Away
        """
        return Plan.model_validate_json((await self._call("GET", "", "")).content)

    async def record(self, turn: SpokenTurn) -> None:
        """Returns when the turn is durable. One that can never be is logged and let go."""
        attempt = 0
        while True:
            try:
                await self._call(
                    "PUT", f"/turns/{turn.seq}", "/turns/{seq}", json=turn.model_dump(mode="json")
                )
                return
            except Away as away:
                _log.warning("turn.waiting", seq=turn.seq, reason=str(away))
            except SessionLost as refused:
                _log.error("turn.refused", seq=turn.seq, reason=str(refused))
                return
            await asyncio.sleep(AGAIN_AFTER[min(attempt, len(AGAIN_AFTER) - 1)])
            attempt += 1

    async def beat(self, beat: Heartbeat) -> None:
        """Raises SessionLost or Away."""
        fell = Counter(catalogue.FALLBACKS.counted()) - self._told
        fell = Counter(dict(fell.most_common(MOST_FALLBACKS)))
        self._told.update(fell)
        more = {"job": self._job, "fallbacks": tuple(_fallbacks(fell))}
        mine = beat.model_copy(update=more)
        try:
            await self._call("PUT", "/heartbeat", "/heartbeat", json=mine.model_dump(mode="json"))
        except BaseException:
            self._told.subtract(fell)  # the next one tells of them
            raise

    async def changes(self, cursor: str) -> Changes:
        """Raises SessionLost or Away."""
        answer = await self._call("GET", "/changes", "/changes", params={"cursor": cursor})
        try:
            return Changes.model_validate_json(answer.content)
        except ValidationError:
            raise Away("not understood") from None

    async def _call(self, method: str, path: str, template: str, **more: Any) -> httpx.Response:
        """Asks for `path`; `template` is what it is made from."""
        where = f"/internal/sessions/{{session_id}}{template}"
        told = {"http.request.method": method, "url.template": where, "peer.service": AUDIENCE}
        with Span(f"{method} {where}", Kind.CLIENT, told):
            return await self._ask(method, path, **more)

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = await self._http.request(
                method,
                self._path + path,
                auth=self._auth,
                timeout=httpx.Timeout(POLLS_WITHIN, connect=2.0),
                **more,
            )
        except httpx.HTTPError as error:
            raise Away(type(error).__name__) from None
        if answer.is_success:
            return answer
        if answer.status_code >= 500 or answer.status_code in _FOR_NOW:
            raise Away(str(answer.status_code))
        refused = SessionGone if answer.status_code == HTTPStatus.NOT_FOUND else SessionLost
        raise refused(str(answer.status_code))


@asynccontextmanager
async def open_http(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the voice service, straight to it whatever proxies the environment names."""
    async with httpx.AsyncClient(
        base_url=address, trust_env=False, verify=outgoing.trusted()
    ) as http:
        yield http


def _fallbacks(fell: Counter[tuple[str, ...]]) -> Iterator[Fallback]:
    for (part, reason), times in fell.items():
        yield Fallback(part=part[:100], reason=reason[:100], times=times)
