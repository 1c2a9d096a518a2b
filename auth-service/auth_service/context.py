"""The composition root: everything the auth service opens, opened once and passed by hand."""

import asyncio
import zoneinfo
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from argon2 import PasswordHasher
from fastapi import Depends, Request

import tokens
from auth_service import forgetting
from auth_service.consents import wordings
from auth_service.consents.wordings import Wordings
from auth_service.erasure import worker
from auth_service.export import holders
from auth_service.lockout.gate import Gate
from auth_service.mails.sending import Sender
from auth_service.providers import Provider, choosing, local, passwords, signing
from auth_service.providers.directory import Directory
from auth_service.sessions import store
from auth_service.settings import Settings
from contracts.sessions import EndedSessions
from kit import background
from kit.backbone import open_backbone
from kit.bus import Bus
from kit.database import Clock, Database, utc_now
from kit.identity import Actor
from privacy.retention import daily
from serving.app import Ground


@dataclass(frozen=True, slots=True)
class Context:
    """What the slices of this service need; `actor` is the service itself."""

    db: Database
    provider: Provider
    directory: Directory
    ground: Ground
    clock: Clock
    actor: Actor
    time_zones: frozenset[str]
    bus: Bus
    wordings: Wordings
    signer: signing.Signer
    verifier: tokens.Verifier
    unended: tokens.Verifier
    """Verifies signature and times alone: it holds tokens of sessions that have ended for good."""
    holders: holders.Holders
    gate: Gate
    sender: Sender
    allow_guests: bool


@asynccontextmanager
async def open_context(
    settings: Settings, *, clock: Clock = utc_now, hasher: PasswordHasher = passwords.HASHER
) -> AsyncIterator[Context]:
    """Opens the database, the identity provider and the watch for ended sessions."""
    async with AsyncExitStack() as stack:
        backbone = await stack.enter_async_context(open_backbone(settings, service=local.SERVICE))
        db = backbone.db
        async with db.transaction(local.ACTOR) as tx:
            signer = await signing.open_signer(tx, now=clock())
        secret = settings.service_secret()
        sender = Sender(db, local.ACTOR, settings.post(), secret, clock)
        gate = Gate(db, secret, clock, local.ACTOR)
        identity = await stack.enter_async_context(
            choosing.open_identity(settings, db, signer, sender, clock, hasher)
        )
        verifier = identity.verifier

        async def ended(cursor: int) -> EndedSessions:
            async with db.transaction(local.ACTOR) as tx:
                return await store.list_after(tx, cursor)

        async def mails() -> None:
            await sender.send_for_ever(backbone.signals)

        await stack.enter_async_context(
            background.running(
                ended_sessions=lambda: verifier.follow_ended(ended),
                **({"mails": mails} if identity.mails else {}),
                **identity.tasks,
                signing_keys=lambda: signer.follow(db, local.ACTOR, clock),
                forget=lambda: forgetting.run(db, clock, gate, sender),
                retention=lambda: daily(db, local.ACTOR, settings.retained(clock), clock),
                **worker.tasks(backbone, identity.directory, signer, clock),
            )
        )
        ground = Ground(
            verifier, settings.service_secret(), clock, backbone.checks(), backbone.spare()
        )
        time_zones = frozenset(await asyncio.to_thread(zoneinfo.available_timezones))
        yield Context(
            db,
            identity.provider,
            identity.directory,
            ground,
            clock,
            local.ACTOR,
            time_zones,
            backbone.bus,
            wordings=await asyncio.to_thread(wordings.load),
            signer=signer,
            verifier=verifier,
            unended=identity.unended,
            holders=await stack.enter_async_context(
                holders.open_holders(settings, service=local.SERVICE, clock=clock)
            ),
            gate=gate,
            sender=sender,
            allow_guests=settings.allow_guests,
        )


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]
