"""The commands of who runs the installation. Each is in the audit log, the operator its actor."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from kit import settings
from kit.identity import Role
from medbot import terminal

users = typer.Typer(no_args_is_help=True, help="Accounts.")
audit = typer.Typer(no_args_is_help=True, help="Who looked at what is another person's.")
keys = typer.Typer(no_args_is_help=True, help="The keys that sign access tokens and receipts.")
events = typer.Typer(no_args_is_help=True, help="Events that no attempt could handle.")

Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")]
Who = Annotated[str, typer.Argument(help="An e-mail address or an id.")]
Moment = Annotated[datetime | None, typer.Option(help="In UTC.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="In UTC, included.")]


class Sum(StrEnum):
    """What usage is summed up by."""

    DAY = "day"
    PERSON = "person"
    MODEL = "model"
    SERVICE = "service"


@users.command("find")
def users_find(
    email: Annotated[str | None, typer.Argument(help="Any part of an e-mail address.")] = None,
    role: Annotated[Role | None, typer.Option(help="Who has this role.")] = None,
    locked: Annotated[bool | None, typer.Option(help="Who is locked, or is not.")] = None,
    limit: Limit = 50,
) -> None:
    """Finds accounts, the newest first."""
    from auth_service.settings import Settings as Service
    from medbot import people

    with terminal.one_line_errors():
        work = people.search(settings.load(Service), email, role, locked=locked, limit=limit)
        for one in terminal.run(work):
            lock = "  locked" if one.locked_at else ""
            line = f"{one.id} {one.email} {', '.join(one.roles)}{lock}"
            terminal.out.print(line, soft_wrap=True)


@users.command("lock")
def users_lock(who: Who) -> None:
    """Locks an account: it cannot sign in, and its sessions end within 5 seconds."""
    _lock(who, locked=True)


@users.command("unlock")
def users_unlock(who: Who) -> None:
    """Lets an account sign in again."""
    _lock(who, locked=False)


def _lock(who: str, *, locked: bool) -> None:
    from auth_service.settings import Settings as Service
    from medbot import people

    with terminal.one_line_errors():
        now = terminal.run(people.lock(settings.load(Service), who, locked=locked))
        terminal.out.print(f"{now.email} {'locked' if now.locked_at else 'unlocked'}")


@users.command("sessions")
def users_sessions(who: Who) -> None:
    """Shows where somebody is signed in."""
    from auth_service.settings import Settings as Service
    from medbot import people

    with terminal.one_line_errors():
        for one in terminal.run(people.sessions(settings.load(Service), who)):
            line = f"{one.id} since {one.created_at:%Y-%m-%d %H:%M}Z"
            terminal.out.print(f"{line}, used {one.used_at:%Y-%m-%d %H:%M}Z", soft_wrap=True)


@users.command("end")
def users_end(
    who: Who,
    session: Annotated[UUID | None, typer.Option(help="This session alone.")] = None,
) -> None:
    """Ends the sessions of somebody."""
    from auth_service.settings import Settings as Service
    from medbot import people

    with terminal.one_line_errors():
        count = terminal.run(people.end_sessions(settings.load(Service), who, session))
        terminal.out.print(f"{count} ended")


@audit.command("verify")
def audit_verify(
    anchor: Annotated[
        str | None, typer.Option(help="NUMBER:HASH, as it was printed before; must be there still.")
    ] = None,
) -> None:
    """Follows the chain; names the first row that was changed, removed or reordered.

    Status 1 when it is broken, 2 when nothing is left to compare the anchor with.
    """
    from auth_service.settings import Settings as Service
    from medbot import audit as log

    with terminal.one_line_errors():
        verdict = terminal.run(log.verify(settings.load(Service), log.anchor_of(anchor)))
        compared = verdict.anchor != "too_old"
        sign = "✗" if not verdict.whole else "✓" if compared else "?"
        terminal.out.print(f"{sign} {verdict.said}", soft_wrap=True)
        terminal.out.print(f"the end is {verdict.head}:{verdict.head_hash}", soft_wrap=True)
        if not (verdict.whole and compared):
            raise typer.Exit(1 if not verdict.whole else 2)


@audit.command("list")
def audit_list(
    person: Annotated[str | None, typer.Option(help="About whom: e-mail address or id.")] = None,
    actor: Annotated[str | None, typer.Option(help="By whom: e-mail address or id.")] = None,
    action: Annotated[str | None, typer.Option(help="Such as people.lock, or people.")] = None,
    since: Moment = None,
    until: Moment = None,
    limit: Limit = 50,
) -> None:
    """Shows the log, the newest row first."""
    from auth_service.audit.models import Filter
    from auth_service.settings import Settings as Service
    from medbot import audit as log

    with terminal.one_line_errors():
        wanted = Filter(None, None, action, _utc(since), _utc(until))
        work = log.entries(settings.load(Service), wanted, person, actor, limit)
        log.show(terminal.run(work), terminal.out)


@events.command("dead")
def events_dead(
    queue: Annotated[str | None, typer.Option(help="Of this queue alone.")] = None,
    limit: Limit = 50,
) -> None:
    """Shows dead letters, the oldest first."""
    from auth_service.settings import Settings as Service
    from medbot import events as stuck

    with terminal.one_line_errors():
        for one in terminal.run(stuck.dead(settings.load(Service), queue, limit)):
            line = f"{one.id} {one.queue} {one.type or 'no event'} {one.error}"
            terminal.out.print(
                f"{line} after {one.attempts} attempts, {one.died_at:%Y-%m-%d %H:%M}Z",
                soft_wrap=True,
            )


@events.command("replay")
def events_replay(
    letters: Annotated[
        list[int],
        typer.Argument(min=1, max=2**63 - 1, help="Numbers that `events dead` shows."),
    ],
) -> None:
    """Hands dead letters to their queues again."""
    from auth_service.settings import Settings as Service
    from medbot import events as stuck

    refused: list[int] = []

    def tell(number: int, reason: str | None) -> None:
        if reason is None:
            terminal.out.print(f"{number} replayed")
            return
        refused.append(number)
        terminal.err.print(f"{number} was not replayed: {reason}", soft_wrap=True)

    with terminal.one_line_errors():
        terminal.run(stuck.replay(settings.load(Service), letters, tell))
    if refused:
        raise typer.Exit(1)


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
) -> None:
    """Lets go of what is older than the RETENTION settings say, as every service does daily."""
    from medbot import retaining

    with terminal.one_line_errors():
        if dry_run:
            for line in retaining.table(terminal.run(retaining.due())):
                terminal.out.print(line, soft_wrap=True)
            return
        for name, count in terminal.run(retaining.apply()).items():
            terminal.out.print(f"{name:<15}{count:>8} gone", soft_wrap=True)


def usage(
    since: Day = None,
    until: Day = None,
    by: Annotated[Sum, typer.Option(help="What is summed up.")] = Sum.DAY,
) -> None:
    """Shows what models took and cost; the last 30 days."""
    from conversation_service.settings import Settings as Service
    from medbot import spending

    with terminal.one_line_errors():
        last = until.date() if until else datetime.now(UTC).date()
        first = since.date() if since else last - timedelta(days=29)
        found = terminal.run(spending.report(settings.load(Service), first, last, by.value))
        for line in spending.table(found):
            terminal.out.print(line, soft_wrap=True)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


@keys.command("rotate")
def keys_rotate() -> None:
    """Makes a new signing key. Tokens of the old one hold until they expire."""
    from auth_service.settings import Settings as Service
    from medbot import keys as rotating

    with terminal.one_line_errors():
        done = terminal.run(rotating.rotate(settings.load(Service)))
        terminal.out.print(f"{done.new} signs within 20 seconds.", soft_wrap=True)
        if done.old is not None:
            line = f"{done.old} signs no more; its tokens hold for an hour, its receipts for ever."
            terminal.out.print(line, soft_wrap=True)
