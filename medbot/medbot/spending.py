"""What models cost, from the command line."""

from datetime import date

from conversation_service.settings import Settings
from conversation_service.usage import actions
from conversation_service.usage.models import By, Report
from kit.backbone import open_backbone
from kit.database import utc_now
from kit.identity import Actor
from privacy import audit
from privacy.audit import Desk


async def report(settings: Settings, first: date, last: date, by: By) -> Report:
    """Sums of the days from `first` to `last`, both included."""
    service = Actor.of_service("conversation")
    async with open_backbone(settings, service="conversation") as backbone:
        seal = audit.seal_of(settings.service_secret())
        desk = Desk(backbone.db, service, None, seal, utc_now)
        return await actions.report(desk, settings.budget(utc_now), first, last, by)


def table(found: Report) -> list[str]:
    """A line a sum, and the total; guests and people who were erased are one."""
    lines = [f"{found.by:<40}{'calls':>8}{'tokens in':>12}{'out':>10}{'USD':>12}"]
    for one in found.items:
        name = one.name or "no account"
        tokens = f"{one.prompt_tokens:>12}{one.completion_tokens:>10}"
        lines.append(f"{name:<40}{one.calls:>8}{tokens}{one.usd:>12.4f}")
    lines.append(f"{'total':<40}{'':>30}{found.total_usd:>12.4f}")
    return lines
