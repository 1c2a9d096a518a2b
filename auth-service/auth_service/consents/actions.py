"""What a new set of answers means, given those that stand."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from auth_service.consents import store
from auth_service.consents.models import Decision
from auth_service.consents.wordings import Wordings
from kit.database import Tx


async def decide(
    tx: Tx,
    user_id: UUID,
    wanted: Mapping[str, bool],
    wordings: Wordings,
    *,
    locale: str | None,
    now: datetime,
) -> None:
    """Makes `wanted` the standing answers; what they leave out is taken back.

    An answer that stands already is recorded again only when its wording is a newer one.

    Raises:
        UnknownConsent: nobody is asked for one of them.
    """
    before = await store.latest(tx, user_id)
    decisions = changes(before, wanted, wordings, locale=locale, now=now)
    await store.add(tx, user_id, decisions)


def changes(
    before: Mapping[str, Decision],
    wanted: Mapping[str, bool],
    wordings: Wordings,
    *,
    locale: str | None,
    now: datetime,
) -> list[Decision]:
    """The rows that lead from the answers that stand to those that are wanted.

    An answer to what nobody is asked any more may stay, since a profile is sent back as it was
    read; it cannot be given anew.
    """
    made = []
    for name in sorted(wanted):
        held = before.get(name)
        if name not in wordings.names and held is not None and held.given == wanted[name]:
            continue
        wording = wordings.current(name, locale)
        if held is not None and (held.given, held.wording) == (wanted[name], wording.version):
            continue
        made.append(_decision(name, wanted[name], wording.version, wording.locale, now))
    for name in sorted(before.keys() - wanted.keys()):
        made.append(_decision(name, None, before[name].wording, before[name].locale, now))
    return made


def _decision(name: str, given: bool | None, wording: str, locale: str, now: datetime) -> Decision:
    return Decision(name=name, given=given, wording=wording, locale=locale, decided_at=now)
