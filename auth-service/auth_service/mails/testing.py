"""An SMTP server on the loopback for tests: it keeps mails, refuses and dawdles on demand."""

import asyncio
import email
import email.policy
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope

LINK = re.compile(r"https?://\S+#token=(\S+)")


@dataclass
class PostOffice:
    """Listens on `port` while it is open. `answer` is what it says to a whole mail, `to_recipient`
    what it says to an address, `dawdle` the seconds before it says anything to a mail."""

    port: int = 0
    answer: str = "250 OK"
    to_recipient: str = "250 OK"
    dawdle: float = 0.0
    tried: int = 0
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    server: asyncio.Server | None = None
    tls: ssl.SSLContext | None = None
    mails: asyncio.Queue[EmailMessage] = field(default_factory=asyncio.Queue)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(self, _: Any, __: Any, envelope: Envelope, address: str, ___: Any) -> str:
        self.tried += 1
        if self.to_recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.to_recipient

    async def handle_DATA(self, _: Any, __: Any, envelope: Envelope) -> str:
        await asyncio.sleep(self.dawdle)
        if self.answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            message = email.message_from_bytes(content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.mails.put_nowait(message)
        return self.answer

    def check(self, _: Any, __: Any, ___: Any, mechanism: str, given: Any) -> AuthResult:
        self.logins.append((given.login, given.password))
        return AuthResult(success=given.password == b"right", handled=False)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(self._protocol, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None

    def _protocol(self) -> SMTP:
        return SMTP(
            self, enable_SMTPUTF8=True, authenticator=self.check, tls_context=self.tls,
            hostname="post.test", timeout=30,
        )  # fmt: skip

    async def mail(self, *, within: float = 10.0) -> EmailMessage:
        """The next mail."""
        return await asyncio.wait_for(self.mails.get(), within)

    async def token(self) -> str:
        """The token of the next mail's link."""
        return token_in(await self.mail())


def token_in(message: EmailMessage) -> str:
    """The token of a mail's link."""
    found = LINK.search(text_of(message))
    assert found is not None
    return found[1]


def text_of(message: EmailMessage) -> str:
    """The plain text of a mail."""
    body = message.get_body(("plain",))
    assert body is not None
    content: str = body.get_content()
    return content


@asynccontextmanager
async def open_post_office() -> AsyncIterator[PostOffice]:
    """A post office that is open."""
    office = PostOffice()
    await office.open()
    try:
        yield office
    finally:
        await office.close()
