"""The audit log from the command line."""

from rich.console import Console

from auth_service.audit import store, verification
from auth_service.audit.models import Entry, Filter, Verdict
from auth_service.settings import Settings
from medbot import office
from medbot.terminal import Failed
from privacy.audit import seal_of


def anchor_of(noted: str | None) -> verification.Anchor | None:
    """`<number>:<hash>` as `medbot audit verify` prints it.

    Raises:
        Failed: it does not read like that.
    """
    if noted is None:
        return None
    number, _, digest = noted.partition(":")
    try:
        place = verification.Anchor(int(number), bytes.fromhex(digest))
    except ValueError:
        place = verification.Anchor(0, b"")
    if place.seq < 1 or len(place.hash) != 32:
        raise Failed("--anchor: a number, a colon and a hash, as `medbot audit verify` prints them")
    return place


async def verify(settings: Settings, anchor: verification.Anchor | None) -> Verdict:
    """Follows the chain; the verification itself becomes its newest row."""
    seal = seal_of(settings.service_secret())
    async with office.reading(settings, "audit.verify") as record:
        return await verification.verify(record.tx, seal, anchor)


async def entries(
    settings: Settings, wanted: Filter, person: str | None, actor: str | None, limit: int
) -> list[Entry]:
    """Rows, newest first; people by id or e-mail address.

    Raises:
        Failed, NotFound
    """
    async with office.open_office(settings) as open_:
        who = await office.find(open_.desk, person) if person else None
        by = await office.find(open_.desk, actor) if actor else None
        asked = Filter(who, by, wanted.action, wanted.since, wanted.until)
        async with open_.desk.transaction("audit.list") as record:
            found, _ = await store.page(record, asked, before=None, limit=limit)
            return found


def show(found: list[Entry], out: Console) -> None:
    """A line a row: number, time, who, what, about whom, and what came of it."""
    for one in found:
        who = one.actor_kind if one.actor_kind != "person" else str(one.actor_id or "erased")
        people = " ".join(str(person or "erased") for person in one.people)
        line = f"{one.seq:>6} {one.at:%Y-%m-%d %H:%M:%S}Z {who} {one.action} {one.outcome}"
        out.print(f"{line} {people} {' '.join(one.resources)}".rstrip(), soft_wrap=True)
