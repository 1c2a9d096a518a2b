"""How everybody but the auth service verifies: keys over HTTP, and its word on who left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

import tokens
from kit import background, logs, outgoing
from kit.circuit import Circuit
from kit.database import Clock
from kit.errors import InvalidToken
from kit.identity import Actor
from kit.settings import Settings
from kit.trace import outgoing_headers
from tokens import supabase

DOOR = "gateway"

FAILURES = 5
PAUSE = 2.0
"""So many tokens in a row that nobody could see, and none is shown for so many seconds."""

_log = logs.get(__name__)


@asynccontextmanager
async def open_verifier(
    settings: Settings, *, service: str, clock: Clock
) -> AsyncIterator[tokens.Verifier]:
    """A verifier that learns of ended sessions every 2 s, for as long as the block lasts.

    The auth service need not be up yet: verifying answers `ServiceUnavailable` until it is. With
    Supabase the keys are the project's, and the gateway shows each new token to the auth service:
    it may be the first that is heard of its person. One that it could not see is shown again.

    Raises:
        Misconfigured: the settings of Supabase cannot be used.
    """
    project = supabase.project(settings)
    url = settings.auth_service_url.rstrip("/")
    async with outgoing.to_services(timeout=httpx.Timeout(3, connect=1)) as http:
        http.event_hooks["request"].append(_trace)
        if project is None:
            keys = tokens.RemoteKeys(f"{url}/.well-known/jwks.json", http, clock=clock)
            verifier = tokens.Verifier(keys, clock=clock)
        else:
            sight = _shower(url, http) if service == DOOR else None
            verifier = project.verifiers(http, clock)(sight=sight)
        ended = tokens.remote_ended(
            url, http, caller=service, secret=settings.service_secret(), clock=clock
        )

        async def follow() -> None:
            await verifier.follow_ended(ended)

        async with background.running(ended_sessions=follow):
            yield verifier


def _shower(url: str, http: httpx.AsyncClient) -> tokens.Sight:
    circuit = Circuit("auth", failures=FAILURES, pause=PAUSE)

    async def show(actor: Actor) -> bool:
        """Whether the auth service saw it: while it is away or has no time, everybody is let in.

        Raises:
            InvalidToken: it refuses the token.
        """
        if actor.kind == "guest":
            return True
        if not circuit.admits():
            return False
        try:
            answer = await http.post(
                f"{url}/internal/people/sighted",
                headers={"authorization": f"Bearer {actor.token}"},
            )
        except httpx.HTTPError as failed:
            circuit.failed()
            _log.warning("people.not_shown", **logs.failure(failed))
            return False
        if answer.status_code != httpx.codes.UNAUTHORIZED and not answer.is_success:
            circuit.failed()
            _log.warning("people.not_shown", status=answer.status_code)
            return False
        circuit.answered()
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise InvalidToken
        return True

    return show


async def _trace(request: httpx.Request) -> None:
    request.headers.update(outgoing_headers())
