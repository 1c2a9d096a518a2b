"""A Supabase project as the identity of an installation: where it is, and how its tokens verify."""

from dataclasses import dataclass, field
from functools import partial

import httpx

import tokens
from kit.database import Clock
from kit.errors import Misconfigured
from kit.settings import Settings

DEADLINE = httpx.Timeout(8, connect=2)
"""Supabase gives up a request of its own accord after 10 s."""


@dataclass(frozen=True, slots=True)
class Project:
    """`url` is the project's, `key` its public one; `jwt_secret` signs in older projects."""

    url: str
    key: str = field(repr=False)
    jwt_secret: str | None = field(default=None, repr=False)

    @property
    def auth_url(self) -> str:
        """Where Supabase Auth answers; also the issuer of its tokens."""
        return f"{self.url}/auth/v1"

    def verifiers(self, http: httpx.AsyncClient, clock: Clock) -> partial[tokens.Verifier]:
        """Makes verifiers that share the project's keys."""
        keys = tokens.RemoteKeys(f"{self.auth_url}/.well-known/jwks.json", http, clock=clock)
        return partial(
            tokens.Verifier,
            keys,
            clock=clock,
            issuer=self.auth_url,
            unnamed=True,
            shared_secret=self.jwt_secret,
        )


def project(settings: Settings) -> Project | None:
    """The project that keeps the accounts; None where they are local.

    Raises:
        Misconfigured: the settings name half of one, two, or one without its database.
    """
    url = _one(settings, "next_public_supabase_url", "supabase_url")
    key = _one(settings, "next_public_supabase_anon_key", "supabase_key")
    secret = settings.supabase_jwt_secret
    if url is None:
        for name in ("next_public_supabase_anon_key", "supabase_key", "supabase_jwt_secret"):
            if getattr(settings, name) is not None:
                raise Misconfigured(f"{name.upper()}: is set without NEXT_PUBLIC_SUPABASE_URL")
        return None
    if key is None:
        raise Misconfigured("NEXT_PUBLIC_SUPABASE_ANON_KEY: must be set with the Supabase URL")
    if settings.embedded:
        raise Misconfigured("DATABASE_URL: must be set to the Supabase project's database")
    return Project(url, key, secret.get_secret_value() if secret is not None else None)


def _one(settings: Settings, *names: str) -> str | None:
    given = [getattr(settings, name) for name in names]
    values = {str(getattr(one, "get_secret_value", lambda one=one: one)()) for one in given if one}
    if len(values) > 1:
        raise Misconfigured(f"{names[0].upper()}: differs from {names[1].upper()}")
    return next(iter(values), None)
