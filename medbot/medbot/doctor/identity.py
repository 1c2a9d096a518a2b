"""Checks of the accounts: who keeps them, and whether a Supabase project is as it must be."""

from collections.abc import AsyncIterator

import httpx

from auth_service.settings import Settings
from kit import outgoing
from kit.errors import Misconfigured
from medbot.doctor.findings import Finding, bad, good, note
from tokens.supabase import DEADLINE, Project, project

NAME = "accounts"


async def examine(settings: Settings, *, probe: bool) -> AsyncIterator[Finding]:
    """Where the accounts are; `probe` asks the project for its keys."""
    try:
        chosen = project(settings)
    except Misconfigured as wrong:
        name, _, said = str(wrong).partition(": ")
        yield bad(NAME, said, f"see {name}")
        return
    if chosen is None:
        yield good(NAME, "local, in the same database")
        return
    if probe:
        yield await _keys(chosen)
    else:
        yield good(NAME, "by Supabase, not asked")
    if settings.supabase_service_role_key is None:
        said = "SUPABASE_SERVICE_ROLE_KEY is not set: no roles, no locks, nobody is erased wholly"
        yield note(NAME, said, "set it for the auth service")


async def _keys(chosen: Project) -> Finding:
    try:
        async with httpx.AsyncClient(
            timeout=DEADLINE, trust_env=False, verify=outgoing.trusted()
        ) as http:
            answer = await http.get(f"{chosen.auth_url}/.well-known/jwks.json")
            answer.raise_for_status()
            keys = answer.json()["keys"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as failed:
        said = f"Supabase does not answer ({type(failed).__name__})"
        return bad(NAME, said, "check NEXT_PUBLIC_SUPABASE_URL")
    if not keys and chosen.jwt_secret is None:
        said = "the project signs with a shared secret, so no token can be verified"
        return bad(NAME, said, "set SUPABASE_JWT_SECRET")
    return good(NAME, f"by Supabase, {len(keys)} public keys")
