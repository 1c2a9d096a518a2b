"""The public keys that access tokens are verified with, each bound to one algorithm."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import httpx
import jwt

from kit import logs
from kit.errors import ServiceUnavailable

MAX_AGE = 600.0
COOL_DOWN = 5.0

# The algorithm follows from the key's own type, never from what a token says of itself.
ALGORITHMS = {("EC", "P-256"): "ES256", ("RSA", None): "RS256", ("OKP", "Ed25519"): "EdDSA"}

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key; `material` is what PyJWT verifies with.

    After `until` (seconds since 1970) no token of it holds; None is no end.
    """

    kid: str
    algorithm: str
    material: Any
    until: float | None = None


class Keys(Protocol):
    """Where a verifier finds keys."""

    async def find(self, kid: str | None) -> Key | None:
        """The key named `kid`; with None, the only key there is."""

    async def ping(self) -> None:
        """Raises while there are no keys."""


def parse(document: Mapping[str, Any]) -> dict[str, Key]:
    """The usable signing keys of a JWKS by `kid`; others are passed over, as RFC 7517 asks.

    Raises:
        ValueError: it is not a JWKS.
    """
    entries = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(entries, list):
        raise ValueError("not a JWKS")
    return {key.kid: key for entry in entries if (key := _key(entry)) is not None}


def _key(entry: Any) -> Key | None:
    if not isinstance(entry, Mapping) or entry.get("use", "sig") != "sig":
        return None
    algorithm = ALGORITHMS.get((entry.get("kty", ""), entry.get("crv")))
    kid = entry.get("kid", "")
    if algorithm is None or entry.get("alg", algorithm) != algorithm or not isinstance(kid, str):
        return None
    if "d" in entry:
        _log.warning("jwks.private_key_refused")
        return None
    try:
        material = jwt.PyJWK.from_dict(dict(entry), algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError):
        _log.warning("jwks.key_refused")
        return None
    until = entry.get("exp")
    return Key(kid, algorithm, material, float(until) if isinstance(until, int | float) else None)


def choose(keys: Mapping[str, Key], kid: str | None) -> Key | None:
    """The key named `kid`, or the only one when a token names none."""
    if kid is not None:
        return keys.get(kid) if kid else None
    return next(iter(keys.values())) if len(keys) == 1 else None


class LocalKeys:
    """Keys that this process holds itself; `document` answers their JWKS as it is now."""

    def __init__(self, document: Callable[[], Mapping[str, Any]]) -> None:
        self._document = document
        self._parsed: tuple[Mapping[str, Any], dict[str, Key]] | None = None

    async def find(self, kid: str | None) -> Key | None:
        """The key of the document that there is now."""
        document = self._document()
        if self._parsed is None or self._parsed[0] is not document:
            self._parsed = (document, parse(document))
        return choose(self._parsed[1], kid)

    async def ping(self) -> None:
        """They are here."""


class RemoteKeys:
    """The JWKS at `url`, fetched when first needed, when old, and for a `kid` not seen yet.

    However many callers wait, one fetch runs; unknown `kid`s cause no more than one fetch a
    `cool_down` (seconds). Old keys serve while the address is asked for new ones, or cannot be
    reached.
    """

    def __init__(
        self,
        url: str,
        http: httpx.AsyncClient,
        *,
        clock: Callable[[], datetime],
        cool_down: float = COOL_DOWN,
        max_age: float = MAX_AGE,
    ) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._cool_down = cool_down
        self._max_age = max_age
        self._keys: dict[str, Key] | None = None
        self._tried = 0.0
        self._fetches = 0
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None) -> Key | None:
        """Raises ServiceUnavailable while no key was ever fetched and none can be."""
        if self._keys is None or (self._age() > self._max_age and not self._lock.locked()):
            await self._fetch()
        key = self._choose(kid)
        if key is None and self._age() > self._cool_down:
            await self._fetch()
            key = self._choose(kid)
        if self._keys is None:
            raise ServiceUnavailable
        return key

    async def ping(self) -> None:
        """Raises ServiceUnavailable while no key was ever fetched and none can be."""
        if self._keys is None:
            await self.find(None)

    def _age(self) -> float:
        age = self._clock().timestamp() - self._tried
        return age if age >= 0 else math.inf  # the clock was set back

    def _choose(self, kid: str | None) -> Key | None:
        return choose(self._keys, kid) if self._keys is not None else None

    async def _fetch(self) -> None:
        seen = self._fetches
        async with self._lock:
            if self._fetches != seen:
                return  # another caller's fetch ended while this one waited
            try:
                answer = await self._http.get(self._url)
                answer.raise_for_status()
                self._keys = parse(answer.json())
            except (httpx.HTTPError, ValueError) as failed:
                _log.warning("jwks.fetch_failed", **logs.failure(failed))
            self._tried = self._clock().timestamp()
            self._fetches += 1
