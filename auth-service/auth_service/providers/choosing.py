"""Who keeps the accounts: this installation or, by its settings, a Supabase project."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import httpx
from argon2 import PasswordHasher

import tokens
from auth_service.mails.sending import Sender
from auth_service.providers import Provider, local, passwords, supabase_store
from auth_service.providers.directory import Directory, LocalDirectory
from auth_service.providers.signing import Signer
from auth_service.providers.supabase import SupabaseProvider
from auth_service.providers.supabase_cloud import Cloud
from auth_service.providers.supabase_directory import SupabaseDirectory
from auth_service.providers.supabase_waiting import open_waiting
from auth_service.settings import Settings
from kit import outgoing
from kit.database import Clock, Database
from kit.errors import Misconfigured
from tokens.supabase import DEADLINE, Project, project


@dataclass(frozen=True, slots=True)
class Identity:
    """The accounts, and two verifiers of their tokens: `unended` holds those of ended sessions.

    `mails` says whether this service writes to people, or whoever keeps the accounts does.
    """

    provider: Provider
    directory: Directory
    verifier: tokens.Verifier
    unended: tokens.Verifier
    mails: bool
    tasks: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """What the accounts need done in the background, by name."""


def open_identity(
    settings: Settings,
    db: Database,
    signer: Signer,
    sender: Sender,
    clock: Clock,
    hasher: PasswordHasher,
) -> AbstractAsyncContextManager[Identity]:
    """The accounts that the settings name.

    Raises:
        Misconfigured: the settings of Supabase cannot be used.
    """
    chosen = project(settings)
    if chosen is None:
        return _local(settings, db, signer, sender, clock, hasher)
    return _supabase(chosen, settings, db, signer, clock)


@asynccontextmanager
async def open_directory(
    settings: Settings, db: Database, clock: Clock
) -> AsyncIterator[Directory]:
    """The directory alone, for whoever administers from elsewhere."""
    chosen = project(settings)
    if chosen is None:
        yield LocalDirectory()
        return
    async with _calling() as http:
        yield SupabaseDirectory(db, Cloud(chosen, http, _service_key(settings)), clock)


@asynccontextmanager
async def _local(
    settings: Settings,
    db: Database,
    signer: Signer,
    sender: Sender,
    clock: Clock,
    hasher: PasswordHasher,
) -> AsyncIterator[Identity]:
    async with db.transaction(local.ACTOR) as tx:
        if not await supabase_store.is_own(tx):
            raise Misconfigured(
                "NEXT_PUBLIC_SUPABASE_URL: must be set, as DATABASE_URL is a Supabase project's"
            )
    keys = tokens.LocalKeys(lambda: signer.jwks)
    with passwords.open_passwords(settings.service_secret(), hasher) as hashing:
        yield Identity(
            local.LocalProvider(db, hashing, signer, clock, sender, settings.email_confirmation),
            LocalDirectory(),
            tokens.Verifier(keys, clock=clock, issuer=local.ISSUER),
            tokens.Verifier(keys, clock=clock, issuer=local.ISSUER),
            mails=True,
        )


@asynccontextmanager
async def _supabase(
    chosen: Project, settings: Settings, db: Database, signer: Signer, clock: Clock
) -> AsyncIterator[Identity]:
    async with db.transaction(local.ACTOR) as tx:
        if await supabase_store.is_own(tx):
            raise Misconfigured("DATABASE_URL: is not the database of the Supabase project")
    async with (
        _calling() as http,
        outgoing.to_services(timeout=DEADLINE) as fetching,  # what Cloud asks, it spares by itself
        open_waiting() as waiting,
    ):
        cloud = Cloud(chosen, http, _service_key(settings))
        verifiers = chosen.verifiers(fetching, clock)
        unended, directory = verifiers(), SupabaseDirectory(db, cloud, clock)
        provider = SupabaseProvider(db, cloud, unended, waiting, clock, signer)
        verifier = verifiers(sight=provider.sight)
        tasks = {"account_changes": directory.tell_for_ever}
        yield Identity(provider, directory, verifier, unended, mails=False, tasks=tasks)


def _calling() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=DEADLINE, trust_env=False, verify=outgoing.trusted())


def _service_key(settings: Settings) -> str | None:
    key = settings.supabase_service_role_key
    return key.get_secret_value() if key is not None else None
