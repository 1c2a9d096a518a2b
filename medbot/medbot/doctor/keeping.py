"""Checks of what is kept: the audit log's chain, retention, and the caps on cost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg

import auth_service.settings
from auth_service.audit import verification
from auth_service.providers import local
from conversation_service.settings import Settings
from conversation_service.usage.budget import BASE_CHARACTERS
from kit import embedded, migrations
from kit.database import open_database, utc_now
from kit.errors import Misconfigured
from medbot.doctor.findings import Finding, bad, good, note
from privacy import audit


@asynccontextmanager
async def _address(settings: auth_service.settings.Settings) -> AsyncIterator[str | None]:
    """The services' login; None while the embedded database is not made or not up to date."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    if not (settings.data_dir / "postgres" / "PG_VERSION").exists():
        yield None
        return
    holding = embedded.running_server(settings.data_dir)
    sockets = await asyncio.to_thread(holding.__enter__)
    try:
        owner = embedded.address(sockets, "postgres", embedded.DATABASE)
        lacks = await migrations.pending(owner)
        login = embedded.address(sockets, embedded.SERVICE_LOGIN, embedded.DATABASE)
        yield None if lacks else login
    finally:
        await asyncio.to_thread(holding.__exit__, None, None, None)


async def examine(
    auth: auth_service.settings.Settings, conversation: Settings
) -> AsyncIterator[Finding]:
    """All of it."""
    async for finding in chain(auth):
        yield finding
    for finding in (*retention(auth, conversation), *caps(conversation)):
        yield finding


async def chain(settings: auth_service.settings.Settings) -> AsyncIterator[Finding]:
    """Whether the audit log is as it was written."""
    name = "audit log"
    try:
        seal = audit.seal_of(settings.service_secret())
        async with _address(settings) as url:
            if url is None:
                return
            opened = open_database(url, application="medbot-doctor", max_size=1)
            async with opened as db, db.transaction(local.ACTOR) as tx:
                verdict = await verification.verify(tx, seal)
    except (Misconfigured, OSError, ValueError, RuntimeError, asyncpg.PostgresError) as error:
        yield note(name, f"cannot be looked at ({type(error).__name__})", "see what is said above")
        return
    if verdict.whole:
        yield good(name, verdict.said)
    else:
        yield bad(name, verdict.said, "see `medbot audit list`, and who may write the database")


def retention(auth: auth_service.settings.Settings, conversation: Settings) -> Iterator[Finding]:
    """What is kept for ever, and what for how long."""
    try:
        classes = [*auth.retained(utc_now), *conversation.retained()]
    except Misconfigured as wrong:
        yield note("retention", f"cannot be looked at: {wrong}")
        return
    days = {each.setting: each.days for each in classes}
    kept = [f"{setting}={value:g}" for setting, value in days.items() if value is not None]
    open_ended = [setting for setting, value in days.items() if value is None]
    yield good("retention", ", ".join(kept))
    if open_ended:
        yield note("retention", f"kept for ever: {', '.join(open_ended)} not set")


def caps(settings: Settings) -> Iterator[Finding]:
    """Whether models may cost without bound, and whether a cap lets them answer at all."""
    name = "cost"
    budget = settings.budget(utc_now)
    if not budget.models:
        return
    wanted = {
        "COST_CAP_PERSON_DAY_USD": budget.person_cap, "COST_CAP_DAY_USD": budget.day_cap,
    }  # fmt: skip
    least = budget.prices.most(budget.models, characters=BASE_CHARACTERS, rounds=3)
    for setting, cap in wanted.items():
        if cap is None:
            yield note(name, f"{setting} is not set: no cap")
        elif cap < least:
            said = f"{setting} is less than the {least / 1e6:.4f} USD set aside for one reply"
            yield note(name, f"{said}: the library answers", "raise it")
        else:
            yield good(name, f"{setting} is {cap / 1e6:g} USD")
    for model in budget.models:
        if budget.prices.of(model.name, model.model) is budget.prices.other:
            said = f"{model.model} has no price of its own, COST_PROMPT_USD and its like hold"
            yield note(name, said)
