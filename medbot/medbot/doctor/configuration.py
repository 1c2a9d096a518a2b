"""Checks of the environment: every setting can be used, and no name is a slip."""

import os
from collections.abc import Iterator

from kit import settings
from kit.errors import Misconfigured
from medbot import environment
from medbot.doctor.findings import Finding, bad, good, note
from medbot.settings import Settings


def values() -> Iterator[Finding]:
    """Whether each service can read its settings."""
    refused: list[str] = []
    for one in environment.classes():
        try:
            settings.load(one)
        except Misconfigured as error:
            refused.append(str(error))
    for reason in dict.fromkeys(refused):
        yield bad("settings", reason, "mend it in the environment or in .env.local")
    if not refused:
        set_here = sorted(environment.read_here() & os.environ.keys())
        yield good("settings", f"from the environment: {', '.join(set_here) or 'none'}")


def names() -> Iterator[Finding]:
    """Names in `.env.local` that nothing reads."""
    known, home = environment.read_here(), settings.home()
    for path in environment.files():
        shown = str(path.relative_to(home))
        unread = [name for name in environment.names_in(path) if name.upper() not in known]
        yield good(shown, f"{len(environment.names_in(path))} names")
        yield from (_unread(shown, name) for name in unread)


def service_secret(chosen: Settings) -> Finding:
    """What signs the tokens that services show each other."""
    name = "service tokens"
    if chosen.service_token_secret is not None:
        return good(name, "SERVICE_TOKEN_SECRET is set")
    if chosen.embedded:
        return good(name, "their secret is kept in the data folder")
    return bad(
        name, "SERVICE_TOKEN_SECRET is not set beside DATABASE_URL", "set 32 random characters"
    )


def _unread(file: str, name: str) -> Finding:
    if name.upper() in environment.ELSEWHERE:
        return note(file, f"{name} is known, but nothing here reads it")
    if nearest := environment.nearest(name):
        return bad(file, f"{name} is read by nothing", f"did you mean {nearest}?")
    return note(file, f"{name} is read by nothing", "remove it, or look in .env.example")
