"""Access tokens: the verifier that the gateway and every service share."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

import httpx

from contracts.sessions import EndedSessions
from kit import logs
from kit.database import Clock
from kit.errors import InvalidToken
from kit.identity import Actor, Role
from tokens import signed
from tokens.jwks import Key, Keys
from tokens.service import ServiceAuth

AUDIENCE = "authenticated"
LONGEST_LIFE = 3600.0
CACHED = 16_384
UNSEEN = 2.0
"""Seconds for which a token is remembered that could not be shown to who must see it: they are
asked again soon, and not at every request while they are away or have no time."""

FetchEnded = Callable[[int], Awaitable[EndedSessions]]
Sight = Callable[[Actor], Awaitable[bool]]

_log = logs.get(__name__)


class Verifier:
    """Turns access tokens into actors.

    Verified tokens are remembered until they expire, at most `size` of them, so the common case
    is one digest and two dictionary look-ups. `shared_secret` admits HS256 (Supabase projects
    with the older kind of key); without it HS256 is refused whatever a token says. `unnamed`
    tokens, which name no issuer, may pass: some servers of Supabase Auth are told none. `sight`
    is called with each new token's actor before it is answered, and may raise InvalidToken; False
    says that nobody could see it, so it is let in and soon shown again.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        clock: Clock,
        issuer: str | None = None,
        unnamed: bool = False,
        shared_secret: str | None = None,
        sight: Sight | None = None,
        size: int = CACHED,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._issuers = None if issuer is None else {issuer, *((None,) if unnamed else ())}
        self._sight = sight
        self._size = size
        self._known: dict[bytes, tuple[float, Actor]] = {}
        self._ended: dict[UUID, float] = {}
        self._shared = signed.shared_key(shared_secret) if shared_secret is not None else None

    def cached(self, token: str) -> Actor | None:
        """The actor of a token that was verified before and still holds, without waiting."""
        if len(token) > signed.MAX_LENGTH:
            return None
        digest = _digest(token)
        entry = self._known.get(digest)
        if entry is None:
            return None
        expires, actor = entry
        if expires <= self._clock().timestamp() or actor.session_id in self._ended:
            del self._known[digest]
            return None
        return actor

    async def verify(self, token: str) -> Actor:
        """The actor whose access token this is.

        Raises:
            InvalidToken: anything about it is wrong; the message does not say what.
            ServiceUnavailable: no key was ever fetched and auth cannot be reached.
        """
        if (actor := self.cached(token)) is not None:
            return actor
        claims = signed.checked(token, await self._key(token))
        now = self._clock().timestamp()
        expires = signed.check_times(claims, now)
        if not _names(claims.get("aud"), AUDIENCE):
            raise InvalidToken
        if self._issuers is not None and not _is_one_of(self._issuers, claims.get("iss")):
            raise InvalidToken
        actor = _person(claims, token)
        if actor.session_id in self._ended:
            raise InvalidToken
        if self._sight is not None and not await self._sight(actor):
            expires = min(expires, self._clock().timestamp() + UNSEEN)
        self._remember(token, expires, actor)
        return actor

    async def ping(self) -> None:
        """Raises ServiceUnavailable while there are no keys to verify with."""
        if self._shared is None:
            await self._keys.ping()

    def ended(self, session_ids: Iterable[UUID]) -> None:
        """From now on refuses every token of these sessions."""
        now = self._clock().timestamp()
        for session in [session for session, until in self._ended.items() if until <= now]:
            del self._ended[session]
        ended = set(session_ids)
        self._ended.update(dict.fromkeys(ended, now + LONGEST_LIFE + signed.LEEWAY))
        for digest in [d for d, (_, actor) in self._known.items() if actor.session_id in ended]:
            del self._known[digest]  # whoever was erased is not remembered here either

    async def follow_ended(self, fetch: FetchEnded, *, every: float = 2.0) -> None:
        """Asks `fetch` every `every` seconds which sessions ended, until cancelled.

        Whatever fails, the next round asks again from the same cursor; an outage is logged once.
        """
        cursor, away = 0, False
        while True:
            more = False
            try:
                page = await fetch(cursor)
            except Exception as failed:  # whatever it is, the watch must not end
                if not away:
                    _log.warning("sessions.watch_lost", **logs.failure(failed))
                away = True
            else:
                self.ended(page.session_ids)
                cursor, more, away = page.cursor, page.more, False
            if not more:
                await asyncio.sleep(every)

    async def _key(self, token: str) -> Key:
        header = signed.header(token)
        if header.get("alg") == "HS256":
            key = self._shared
        else:
            kid = header.get("kid")
            if kid is not None and not isinstance(kid, str):
                raise InvalidToken
            key = await self._keys.find(kid) if str(header.get("alg")) in _ASYMMETRIC else None
        if key is None or (key.until is not None and key.until <= self._clock().timestamp()):
            raise InvalidToken
        return key

    def _remember(self, token: str, expires: float, actor: Actor) -> None:
        while len(self._known) >= self._size:
            del self._known[next(iter(self._known))]
        self._known[_digest(token)] = (expires, actor)


_ASYMMETRIC = frozenset({"ES256", "RS256", "EdDSA"})


def remote_ended(
    url: str, http: httpx.AsyncClient, *, caller: str, secret: str, clock: Clock
) -> FetchEnded:
    """Asks the auth service at `url` as the service `caller`; for `Verifier.follow_ended`."""

    auth = ServiceAuth(secret, caller=caller, audience="auth", clock=clock)

    async def fetch(cursor: int) -> EndedSessions:
        answer = await http.get(
            f"{url}/internal/sessions/ended", params={"after": cursor}, auth=auth
        )
        answer.raise_for_status()
        return EndedSessions.model_validate_json(answer.content)

    return fetch


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _names(audience: Any, wanted: str) -> bool:
    return wanted in audience if isinstance(audience, list) else bool(audience == wanted)


def _is_one_of(issuers: Collection[str | None], named: Any) -> bool:
    return (named is None or isinstance(named, str)) and named in issuers


def _person(claims: Mapping[str, Any], token: str) -> Actor:
    """The person or, with Supabase's `is_anonymous`, the guest whom verified claims describe."""
    if claims.get("role", AUDIENCE) != AUDIENCE:
        raise InvalidToken  # `anon` and `service_role` keys of Supabase are not people
    session, email = claims.get("session_id"), claims.get("email")
    return Actor(
        id=signed.uuid_of(claims.get("sub")),
        kind="guest" if claims.get("is_anonymous") is True else "person",
        roles=_roles(claims.get("app_metadata")),
        email=email if isinstance(email, str) and email else None,
        session_id=signed.uuid_of(session) if session is not None else None,
        token=token,
    )


def _roles(metadata: Any) -> frozenset[Role]:
    named = metadata.get("roles") if isinstance(metadata, Mapping) else None
    if not isinstance(named, list):
        return frozenset({Role.PATIENT})
    return frozenset(role for role in Role if role in named)
