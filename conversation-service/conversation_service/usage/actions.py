"""What models took, for who runs the installation."""

from datetime import date

from conversation_service.usage import store
from conversation_service.usage.budget import Budget
from conversation_service.usage.models import By, Caps, Report
from privacy.audit import Desk

MILLION = 1_000_000


async def report(desk: Desk, budget: Budget, first: date, last: date, by: By) -> Report:
    """Sums of the days from `first` to `last`, both included, the dearest first."""
    async with desk.transaction("usage.read") as record:
        items = await store.report(record, first, last, by)
    return Report(
        first=first,
        last=last,
        by=by,
        items=items,
        total_usd=round(sum(item.usd for item in items), 6),
        caps=Caps(
            person_day_usd=_usd(budget.person_cap),
            guest_day_usd=_usd(budget.guest_cap),
            address_day_usd=_usd(budget.address_cap),
            day_usd=_usd(budget.day_cap),
        ),
    )


def _usd(micro_usd: int | None) -> float | None:
    return None if micro_usd is None else micro_usd / MILLION
