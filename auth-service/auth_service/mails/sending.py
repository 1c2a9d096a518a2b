"""Takes mails that are due to the server, again until it takes them.

The token of a link is made when its mail is about to leave and only its digest is stored, so the
database never holds a link, and a mail that had to wait carries a fresh one. A mail may leave twice
when a process dies between the server's word and the row's: it has the same Message-ID, and both
links work.
"""

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from uuid import uuid4

from auth_service.mails import smtp, store, texts
from auth_service.providers import claims, waiting
from kit import logs
from kit.database import CONNECTION_ERRORS, Clock, Database, Tx
from kit.errors import ServiceUnavailable
from kit.identity import Actor
from kit.signals import Signals

LEASE = timedelta(minutes=2)
"""Longer than one mail may take; a mail whose process died is tried again after it."""

FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(minutes=30)
GIVEN_UP_AFTER = timedelta(hours=24)
GATHER = 0.1
"""Seconds between the wish for a mail and the work on it."""

MOST_TO_ONE = 5
"""Mails to one address in `WINDOW`: nobody fills somebody else's mailbox through us."""

WINDOW = timedelta(hours=1)

_log = logs.get(__name__)

_LETTERS = {
    "verify": texts.VERIFY,
    "reset": texts.RESET,
    "password_changed": texts.PASSWORD_CHANGED,
}
_PATHS = {"verify": "verify", "reset": "reset-password"}


@dataclass(frozen=True, slots=True)
class Post:
    """How mails leave. Without a server none does; `show_links` then writes links to the log,
    for development."""

    server: smtp.Server | None
    sender: Address
    public_url: str
    show_links: bool

    def link(self, kind: str, token: str) -> str:
        """What somebody opens. The token is in the fragment, which no server gets to see."""
        return f"{self.public_url}/{_PATHS[kind]}#token={token}"


@dataclass(frozen=True, slots=True)
class Ready:
    """A mail that can leave now."""

    mail: store.Mail
    message: EmailMessage
    link: str | None


class Sender:
    """Writes mails down for others to send, and sends those that are due."""

    def __init__(self, db: Database, actor: Actor, post: Post, secret: str, clock: Clock) -> None:
        self._db = db
        self._actor = actor
        self._post = post
        self._secret = hmac.digest(secret.encode(), b"recipients of mails", "sha256")
        self._clock = clock

    async def to_address(self, tx: Tx, kind: str, email: str, *, now: datetime) -> None:
        """A mail to whoever has the account `email`; as much work when nobody has."""
        await store.to_address(tx, uuid4(), kind, email, self._recipient(email), now=now)

    async def to_pending(self, tx: Tx, pending: waiting.Pending, *, now: datetime) -> None:
        """A mail to an account that waits for its address."""
        await store.to_pending(tx, uuid4(), pending.id, self._recipient(pending.email), now=now)

    async def send_for_ever(self, signals: Signals) -> None:
        """Sends what is due until cancelled; a database that is away is waited for."""
        with signals.on(store.TOPIC) as woken:
            while True:
                try:
                    while await self.send_next():
                        pass
                except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
                    _log.warning("mails.waiting", **logs.failure(error))
                await woken()
                # The answer to whoever caused the mail is out by then: what a mail takes, which
                # differs with who is known, cannot be seen in it.
                await asyncio.sleep(GATHER)

    async def send_next(self) -> bool:
        """Sends the next mail that is due; False when none is."""
        now = self._clock()
        async with self._db.transaction(self._actor) as tx:
            mail = await store.claim(tx, now=now, lease=LEASE)
            if mail is None:
                return False
            ready = await self._prepare(tx, mail, now)
            if ready is None:
                await store.delete(tx, mail.id)
        if ready is not None:
            await self._send(ready)
        return True

    async def _prepare(self, tx: Tx, mail: store.Mail, now: datetime) -> Ready | None:
        """The message with a fresh token; None when there is nobody to write to, or no more."""
        recipient = _writable(mail)
        if recipient is None:
            return None
        if now - mail.created_at > GIVEN_UP_AFTER:
            _log.warning("mail.given_up", kind=mail.kind)
            return None
        since = now - WINDOW
        if await store.count_done(tx, mail.recipient, since=since) >= MOST_TO_ONE:
            _log.warning("mail.held_back", kind=mail.kind)
            return None
        letter, link = _LETTERS[mail.kind], None
        if mail.kind == "verify" and mail.known:
            letter = texts.KNOWN
        elif letter.label:
            link = await self._link(tx, mail, now)
        message = texts.compose(
            letter,
            link,
            sender=self._post.sender,
            recipient=recipient,
            message_id=str(mail.id),
        )
        return Ready(mail, message, link)

    async def _link(self, tx: Tx, mail: store.Mail, now: datetime) -> str:
        token = secrets.token_urlsafe(32)
        whom = mail.pending_id if mail.kind == "verify" else mail.user_id
        assert whom is not None, "a mail with an address is to somebody"
        await waiting.insert_token(
            tx, claims.digest_of(token), mail.kind, whom, expires_at=now + waiting.LINK_LIFE
        )
        return self._post.link(mail.kind, token)

    async def _send(self, ready: Ready) -> None:
        mail, put_off = ready.mail, False
        try:
            await self._hand_over(ready)
        except smtp.Refused as refused:
            _log.warning(
                "mail.refused", kind=mail.kind, **logs.failure(refused.__cause__ or refused)
            )
        except smtp.NotNow as failed:
            _log.warning("mail.waits", kind=mail.kind, **logs.failure(failed.__cause__ or failed))
            put_off = True
        now = self._clock()
        async with self._db.transaction(self._actor) as tx:
            if put_off:
                await store.put_off(tx, mail.id, until=now + wait_after(mail.attempts))
            else:
                await store.done(tx, mail.id, now=now)

    async def _hand_over(self, ready: Ready) -> None:
        if self._post.server is not None:
            await smtp.send(self._post.server, ready.message)
        elif self._post.show_links:
            _log.warning("mail.shown", kind=ready.mail.kind, link=ready.link)
        else:
            _log.warning("mail.no_server", kind=ready.mail.kind)

    def _recipient(self, email: str) -> bytes:
        return hmac.digest(self._secret, email.encode(), hashlib.sha256)

    async def forget_old(self) -> None:
        """Deletes mails that have left, and what nobody has followed up."""
        now = self._clock()
        async with self._db.transaction(self._actor) as tx:
            await store.forget_old(tx, now=now)
            await waiting.forget_old(tx, now=now)


def _writable(mail: store.Mail) -> Address | None:
    """Where a mail goes; None when there is nobody to write to, or no mail can be written there."""
    if mail.email is None:
        return None
    try:
        return smtp.address(mail.email)
    except ValueError:  # its text may quote the address
        _log.warning("mail.no_such_address", kind=mail.kind)
        return None


def wait_after(attempts: int) -> timedelta:
    """How long a mail waits that failed so many times."""
    doubled: int = 2 ** min(attempts - 1, 12)
    return min(LONGEST_WAIT, FIRST_WAIT * doubled)
