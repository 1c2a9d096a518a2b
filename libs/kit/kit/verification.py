"""How everybody but the auth service verifies: its keys over HTTP, and its word on who left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from kit import background, tokens
from kit.database import Clock
from kit.settings import Settings
from kit.trace import outgoing_headers


@asynccontextmanager
async def open_verifier(
    settings: Settings, *, service: str, clock: Clock
) -> AsyncIterator[tokens.Verifier]:
    """A verifier that learns of ended sessions every 2 s, for as long as the block lasts.

    The auth service need not be up yet: verifying answers `ServiceUnavailable` until it is.
    """
    url = settings.auth_service_url.rstrip("/")
    async with httpx.AsyncClient(timeout=httpx.Timeout(3, connect=1)) as http:
        http.event_hooks["request"].append(_trace)
        keys = tokens.RemoteKeys(f"{url}/.well-known/jwks.json", http, clock=clock)
        verifier = tokens.Verifier(keys, clock=clock)
        ended = tokens.remote_ended(
            url, http, caller=service, secret=settings.service_secret(), clock=clock
        )

        async def follow() -> None:
            await verifier.follow_ended(ended)

        async with background.running(ended_sessions=follow):
            yield verifier


async def _trace(request: httpx.Request) -> None:
    request.headers.update(outgoing_headers())
