"""Checks of mail: whether there is a server, and whether it lets us in."""

from collections.abc import AsyncIterator

from auth_service.mails import smtp
from auth_service.settings import Settings
from medbot.doctor.findings import Finding, bad, good, note

NAME = "mail"


async def examine(settings: Settings, *, probe: bool) -> AsyncIterator[Finding]:
    """The server that mails are handed to; `probe` signs in to it."""
    post = settings.post()
    if post.server is None:
        yield _nowhere(settings, shown=post.show_links)
        return
    said = f"by {post.server.host}:{post.server.port}, from {post.sender.addr_spec}"
    if not probe:
        yield good(NAME, f"{said}, not asked")
    else:
        try:
            await smtp.check(post.server)
        except smtp.NotNow as failed:
            why = type(failed.__cause__ or failed).__name__
            yield bad(NAME, f"{said}: it does not let us in ({why})", "check SMTP_URL")
        else:
            yield good(NAME, f"{said}; it lets us in")
    if "mail_from" not in settings.model_fields_set:
        yield note(NAME, "MAIL_FROM is not set: many servers refuse the made-up one", "set it")
    if "public_url" not in settings.model_fields_set:
        yield note(NAME, f"PUBLIC_URL is not set: links lead to {post.public_url}", "set it")


def _nowhere(settings: Settings, *, shown: bool) -> Finding:
    if settings.email_confirmation:
        said = "EMAIL_CONFIRMATION is on without SMTP_URL: nobody gets the link"
        return bad(NAME, said, "set SMTP_URL, or EMAIL_CONFIRMATION=false")
    where = "links are shown in the development log only" if shown else "no link reaches anybody"
    return note(NAME, f"SMTP_URL is not set: {where}", "LOG_FORMAT=console shows links in the log")
