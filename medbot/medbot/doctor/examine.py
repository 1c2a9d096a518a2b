"""Goes through every check and prints a line each."""

from collections.abc import AsyncIterator

import api_gateway.settings
import auth_service.settings
import conversation_service.settings
import voice_service.settings
from kit import settings
from kit.errors import Misconfigured
from medbot.doctor import (
    answers,
    configuration,
    database,
    identity,
    keeping,
    load,
    machine,
    mail,
    parts,
    voice,
)
from medbot.doctor.findings import Finding, Mark
from medbot.settings import Settings
from medbot.terminal import out

COLOURS = {Mark.GOOD: "green", Mark.NOTE: "yellow", Mark.BAD: "bold red"}


async def report(*, probe: bool) -> bool:
    """Prints what is found; True when nothing must be mended."""
    healthy = True
    async for finding in findings(probe=probe):
        healthy = healthy and finding.mark is not Mark.BAD
        out.print(f"{finding.mark} ", style=COLOURS[finding.mark], end="")
        remedy = f"  → {finding.remedy}" if finding.remedy else ""
        out.print(f"{finding.name:<15}{finding.said}{remedy}", soft_wrap=True)
    return healthy


async def findings(*, probe: bool) -> AsyncIterator[Finding]:
    """Every check in order; those that hang on settings that cannot be read are left out."""
    yield machine.python()
    for finding in (*configuration.values(), *configuration.names()):
        yield finding
    try:
        chosen = settings.load(Settings)
        gateway = settings.load(api_gateway.settings.Settings)
        conversation = settings.load(conversation_service.settings.Settings)
        auth = settings.load(auth_service.settings.Settings)
        speaking = settings.load(voice_service.settings.Settings)
    except Misconfigured:
        return
    for finding in machine.data_folder(chosen):
        yield finding
    async for finding in database.examine(chosen):
        yield finding
    yield configuration.service_secret(chosen)
    async for finding in keeping.examine(auth, conversation):
        yield finding
    async for finding in _here(chosen, gateway, conversation):
        yield finding
    async for finding in _asked(gateway, auth, conversation, speaking, probe=probe):
        yield finding


async def _here(
    chosen: Settings,
    gateway: api_gateway.settings.Settings,
    conversation: conversation_service.settings.Settings,
) -> AsyncIterator[Finding]:
    """What lies with this machine: its ports, what it can carry, and the library."""
    async for finding in machine.ports(chosen):
        yield finding
    for finding in (*load.examine(gateway), *answers.library(conversation)):
        yield finding


async def _asked(
    gateway: api_gateway.settings.Settings,
    auth: auth_service.settings.Settings,
    conversation: conversation_service.settings.Settings,
    speaking: voice_service.settings.Settings,
    *,
    probe: bool,
) -> AsyncIterator[Finding]:
    """What lies with others: a broker, a mail server, models, and a media server."""
    async for finding in parts.examine(gateway, probe=probe):
        yield finding
    async for finding in identity.examine(auth, probe=probe):
        yield finding
    async for finding in mail.examine(auth, probe=probe):
        yield finding
    async for finding in answers.models(conversation, probe=probe):
        yield finding
    async for finding in voice.examine(speaking, probe=probe):
        yield finding
