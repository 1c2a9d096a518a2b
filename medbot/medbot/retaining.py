"""Retention from the command line: what would go now, or let it go now."""

import auth_service.settings
import conversation_service.settings
import voice_service.settings
from kit import settings
from kit.backbone import open_backbone
from kit.database import utc_now
from kit.identity import Actor
from medbot import office
from privacy import retention
from privacy.retention import Class, Due


def of_services() -> list[tuple[str, list[Class]]]:
    """Every service that keeps rows of a class, with its own settings.

    Raises:
        Misconfigured
    """
    auth = settings.load(auth_service.settings.Settings)
    conversation = settings.load(conversation_service.settings.Settings)
    voice = settings.load(voice_service.settings.Settings)
    return [
        ("auth", auth.retained(utc_now)),
        ("conversation", conversation.retained()),
        ("voice", voice.retained()),
    ]


async def due() -> list[Due]:
    """What is too old now, class by class; nothing goes."""
    chosen = settings.load(auth_service.settings.Settings)
    found: list[Due] = []
    async with open_backbone(chosen, service="auth") as backbone:
        for service, classes in of_services():
            actor = Actor.of_service(service)
            found += await retention.due(backbone.db, actor, classes, now=utc_now())
    return found


async def apply() -> dict[str, int]:
    """Lets go of it, and says so in the audit log; answers how many rows of each class went."""
    chosen = settings.load(auth_service.settings.Settings)
    gone: dict[str, int] = {}
    async with office.open_office(chosen) as open_:
        async with open_.desk.transaction("retention.apply") as record:
            for _, classes in of_services():
                for each in classes:
                    if each.days is not None:
                        record.touched("class", each.name)
        for service, classes in of_services():
            actor = Actor.of_service(service)
            gone |= await retention.apply(open_.desk.db, actor, classes, now=utc_now())
    return gone


def table(found: list[Due]) -> list[str]:
    """A line a class: what is kept how long, and how many rows are older."""
    lines = [f"{'class':<15}{'setting':<28}{'days':>7}  {'older than':<18}{'rows':>8}"]
    for each in found:
        days = "keep" if each.days is None else f"{each.days:g}"
        before = "" if each.before is None else f"{each.before:%Y-%m-%d %H:%M}Z"
        lines.append(f"{each.name:<15}{each.setting:<28}{days:>7}  {before:<18}{each.rows:>8}")
    return lines
