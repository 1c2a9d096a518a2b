"""The way out: one SMTP server, named by `SMTP_URL`."""

import asyncio
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
import email_validator

from auth_service.emails import LONGEST

WITHIN = 20.0
"""Seconds for each answer of the server."""

WHOLE_WITHIN = 60.0
"""Seconds for a whole mail."""


class Refused(Exception):
    """The server will never take this mail."""


class NotNow(Exception):
    """The server cannot be reached, or does not take the mail now."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where mails are handed over. `starttls`: None takes what is offered."""

    host: str
    port: int
    tls: bool
    starttls: bool | None
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def parse(url: str) -> Server:
    """`smtp://[user:password@]host[:587]` upgrades to TLS, `smtps://host[:465]` begins with it.

    A password is never sent in clear text, unless `?starttls=off` says so for a server of one's
    own network; `?starttls=on` demands the upgrade without a password too.

    Raises:
        ValueError: it is no such address.
    """
    parts = urlsplit(url)
    choice = parse_qs(parts.query).get("starttls", [""])[0]
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or choice not in _STARTTLS:
        raise ValueError("an address such as smtp://user:password@mail.example.org:587 is needed")
    tls = parts.scheme == "smtps"
    user = unquote(parts.username) if parts.username else None
    wanted = _STARTTLS[choice] if choice else (True if user is not None else None)
    return Server(
        host=parts.hostname,
        port=parts.port or (465 if tls else 587),
        tls=tls,
        starttls=False if tls else wanted,
        user=user,
        password=unquote(parts.password) if parts.password else None,
    )


_STARTTLS: dict[str, bool | None] = {"": None, "on": True, "off": False}


def address(written: str, name: str = "") -> Address:
    """An address for a header; a domain in other letters is written as DNS writes it.

    Raises:
        ValueError: it is none.
    """
    if len(written) > LONGEST:
        raise ValueError("an e-mail address has at most 254 characters")
    checked = email_validator.validate_email(
        written, check_deliverability=False, test_environment=True
    )
    return Address(name, username=checked.local_part, domain=checked.ascii_domain)


async def send(server: Server, message: EmailMessage) -> None:
    """Hands one message over.

    Raises:
        Refused, NotNow
    """
    try:
        async with asyncio.timeout(WHOLE_WITHIN):
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                use_tls=server.tls,
                start_tls=server.starttls,
                username=server.user,
                password=server.password,
                timeout=WITHIN,
            )
    except aiosmtplib.SMTPRecipientsRefused as refused:
        if all(one.code >= 500 for one in refused.recipients):
            raise Refused from refused
        raise NotNow from refused
    except aiosmtplib.SMTPDataError as refused:
        if refused.code >= 500:
            raise Refused from refused
        raise NotNow from refused
    # A password or a sender that is refused is the operator's to mend: the mails wait for it.
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as failed:
        raise NotNow from failed


async def check(server: Server) -> None:
    """Signs in and leaves again.

    Raises:
        NotNow
    """
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.tls,
        start_tls=server.starttls,
        username=server.user,
        password=server.password,
        timeout=WITHIN,
    )
    try:
        async with asyncio.timeout(WHOLE_WITHIN), client:
            await client.noop()
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as failed:
        raise NotNow from failed
