"""Access tokens and service tokens: one small verifier that the gateway and every service share."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import jwt

from contracts.sessions import EndedSessions
from kit import logs
from kit.errors import InvalidToken
from kit.identity import Actor, Role
from kit.jwks import Key, Keys, LocalKeys, RemoteKeys

__all__ = [
    "InvalidToken", "LocalKeys", "RemoteKeys", "Verifier", "remote_ended", "service_token",
    "verify_service",
]  # fmt: skip

AUDIENCE = "authenticated"
SERVICE_TYPE = "service+jwt"
MAX_LENGTH = 8192
LEEWAY = 10.0
LONGEST_LIFE = 3600.0
CACHED = 16_384
MIN_SECRET = 32
LATEST = 253_402_300_800  # the year 10000, in seconds since 1970

Clock = Callable[[], datetime]
FetchEnded = Callable[[int], Awaitable[EndedSessions]]
Sight = Callable[[Actor], Awaitable[None]]

_log = logs.get(__name__)
_jws = jwt.PyJWS(
    algorithms=["ES256", "RS256", "EdDSA", "HS256"], options={"enforce_minimum_key_length": True}
)


class Verifier:
    """Turns access tokens into actors.

    Verified tokens are remembered until they expire, at most `size` of them, so the common case
    is one digest and two dictionary look-ups. `shared_secret` admits HS256 (Supabase projects
    with the older kind of key); without it HS256 is refused whatever a token says. `unnamed`
    tokens, which name no issuer, may pass: some servers of Supabase Auth are told none. `sight`
    is called with each new token's actor before it is answered, and may raise InvalidToken.
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
        self._shared = _shared_key(shared_secret) if shared_secret is not None else None

    def cached(self, token: str) -> Actor | None:
        """The actor of a token that was verified before and still holds, without waiting."""
        if len(token) > MAX_LENGTH:
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
        claims = _checked(token, await self._key(token))
        now = self._clock().timestamp()
        expires = _check_times(claims, now)
        if not _names(claims.get("aud"), AUDIENCE):
            raise InvalidToken
        if self._issuers is not None and not _is_one_of(self._issuers, claims.get("iss")):
            raise InvalidToken
        actor = _person(claims, token)
        if actor.session_id in self._ended:
            raise InvalidToken
        if self._sight is not None:
            await self._sight(actor)
        self._remember(token, expires, actor)
        return actor

    def ended(self, session_ids: Iterable[UUID]) -> None:
        """From now on refuses every token of these sessions."""
        now = self._clock().timestamp()
        for session in [session for session, until in self._ended.items() if until <= now]:
            del self._ended[session]
        ended = set(session_ids)
        self._ended.update(dict.fromkeys(ended, now + LONGEST_LIFE + LEEWAY))
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
        header = _header(token)
        if header.get("alg") == "HS256":
            key = self._shared
        else:
            kid = header.get("kid")
            if kid is not None and not isinstance(kid, str):
                raise InvalidToken
            key = await self._keys.find(kid) if str(header.get("alg")) in _ASYMMETRIC else None
        if key is None:
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

    async def fetch(cursor: int) -> EndedSessions:
        token = service_token(secret, caller=caller, audience="auth", now=clock())
        answer = await http.get(
            f"{url}/internal/sessions/ended",
            params={"after": cursor},
            headers={"authorization": f"Bearer {token}"},
        )
        answer.raise_for_status()
        return EndedSessions.model_validate_json(answer.content)

    return fetch


def service_token(
    secret: str,
    *,
    caller: str,
    audience: str,
    now: datetime,
    person: UUID | None = None,
    ttl: timedelta = timedelta(seconds=60),
) -> str:
    """A token with which the service `caller` calls the service `audience`, for `person` if any."""
    issued = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": caller,
        "aud": audience,
        "iat": issued,
        "exp": issued + int(ttl.total_seconds()),
    }
    if person is not None:
        claims["sub"] = str(person)
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return _jws.encode(payload, secret, algorithm="HS256", headers={"typ": SERVICE_TYPE})


def verify_service(token: str, secret: str, *, audience: str, now: datetime) -> Actor:
    """The calling service as an actor.

    Raises:
        InvalidToken: it is not a service token for `audience` that holds at `now`.
    """
    if _header(token).get("typ") != SERVICE_TYPE:
        raise InvalidToken
    claims = _checked(token, _shared_key(secret), kind=SERVICE_TYPE)
    _check_times(claims, now.timestamp())
    caller = claims.get("iss")
    if claims.get("aud") != audience or not isinstance(caller, str) or not caller:
        raise InvalidToken
    person = _uuid(claims["sub"]) if "sub" in claims else None
    return Actor.of_service(caller, acting_for=person)


def _shared_key(secret: str) -> Key:
    if len(secret.encode()) < MIN_SECRET:
        raise ValueError(f"a shared secret needs at least {MIN_SECRET} bytes")
    return Key("", "HS256", secret)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _header(token: str) -> Mapping[str, Any]:
    """What a token says of itself, only to choose a key by; `_checked` reads it again, strictly."""
    if len(token) > MAX_LENGTH:
        raise InvalidToken
    first = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, RecursionError):
        raise InvalidToken from None
    if not isinstance(header, dict):
        raise InvalidToken
    return header


def _checked(token: str, key: Key, *, kind: str = "jwt") -> Mapping[str, Any]:
    """The claims of a token that `key` signed with the key's own algorithm."""
    try:
        whole = _jws.decode_complete(token, key.material, algorithms=[key.algorithm])
        claims = json.loads(whole["payload"])
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise InvalidToken from None
    if str(whole["header"].get("typ", kind)).lower() != kind or not isinstance(claims, dict):
        raise InvalidToken
    return claims


def _check_times(claims: Mapping[str, Any], now: float) -> float:
    """The expiry, in seconds since 1970, of claims that hold at `now`."""
    expires = _number(claims.get("exp"))
    starts = [_number(claims[name]) for name in ("iat", "nbf") if name in claims]
    if expires <= now or any(start > now + LEEWAY for start in starts):
        raise InvalidToken
    return expires


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken
    if not abs(value) < LATEST:  # also refuses NaN and infinity, which JSON in Python admits
        raise InvalidToken
    return float(value)


def _uuid(value: Any) -> UUID:
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise InvalidToken from None


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
        id=_uuid(claims.get("sub")),
        kind="guest" if claims.get("is_anonymous") is True else "person",
        roles=_roles(claims.get("app_metadata")),
        email=email if isinstance(email, str) and email else None,
        session_id=_uuid(session) if session is not None else None,
        token=token,
    )


def _roles(metadata: Any) -> frozenset[Role]:
    named = metadata.get("roles") if isinstance(metadata, Mapping) else None
    if not isinstance(named, list):
        return frozenset({Role.PATIENT})
    return frozenset(role for role in Role if role in named)
