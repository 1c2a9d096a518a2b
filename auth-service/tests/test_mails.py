"""No mail is lost: a server that is down, refuses or dawdles, a process that dies in between."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import certificate
from pydantic import ValidationError

from auth_service.mails import sending, smtp, texts
from auth_service.mails.testing import PostOffice, text_of, token_in
from auth_service.settings import Settings
from auth_service.testing import Auth
from kit.logs import configure
from kit.testing import FixedClock

EMAIL = "carol@example.org"
OpenAuth = Callable[..., Awaitable[Auth]]


@pytest.fixture
async def mailing(open_auth: OpenAuth, post_office: PostOffice) -> Auth:
    auth = await open_auth(smtp_url=post_office.url, public_url="https://medbot.example/app")
    await auth.register(EMAIL)
    return auth


async def forget_password(auth: Auth) -> None:
    assert (await auth.post("/password/forgot", email=EMAIL)).status_code == 202


async def until(owner: Any, question: str) -> None:
    """Waits until a question to the database is answered by something true."""
    async with asyncio.timeout(10):
        while not await owner.fetchval(question):
            await asyncio.sleep(0.02)


WAITS = "select 1 from medbot.mails where done_at is null and attempts = {n} and due_at < '{by}'"
FAR = "2030-01-01 12:01:30+00"


async def test_a_mail_is_plain_text_and_html_and_says_who_it_is_from(
    mailing: Auth, post_office: PostOffice
) -> None:
    await forget_password(mailing)
    mail = await post_office.mail()
    assert (mail["from"], mail["to"]) == ("Medbot <no-reply@medbot.example>", EMAIL)
    assert mail["auto-submitted"] == "auto-generated"
    link = f"https://medbot.example/app/reset-password#token={token_in(mail)}"
    page = mail.get_body(("html",))
    assert page is not None
    for body in (text_of(mail), page.get_content()):
        assert link in body
    assert "http" not in page.get_content().replace(link, "")


async def test_a_mail_waits_for_a_server_that_is_down_and_brings_a_link_that_works(
    mailing: Auth, post_office: PostOffice, clock: FixedClock, owner: Any
) -> None:
    await post_office.close()
    await forget_password(mailing)
    await until(owner, WAITS.format(n=1, by=FAR))
    clock.advance(seconds=11)
    await until(owner, WAITS.format(n=2, by=FAR))
    await post_office.open()
    clock.advance(hours=2)  # the link is made when it leaves, so it has not expired
    token = await post_office.token()
    sent = {"token": token, "password": "a new password"}
    assert (await mailing.post("/password/reset", **sent)).status_code == 204


@pytest.mark.parametrize("busy", ["answer", "to_recipient"])
async def test_a_server_that_is_busy_is_asked_again(
    mailing: Auth, post_office: PostOffice, clock: FixedClock, owner: Any, busy: str
) -> None:
    setattr(post_office, busy, "451 come back later")
    await forget_password(mailing)
    await until(owner, WAITS.format(n=1, by=FAR))
    setattr(post_office, busy, "250 OK")
    clock.advance(seconds=11)
    assert (await post_office.mail())["to"] == EMAIL
    await until(owner, "select 1 from medbot.mails where done_at is not null")


@pytest.mark.parametrize("final", ["answer", "to_recipient"])
async def test_a_mail_that_is_refused_for_good_is_not_sent_again(
    mailing: Auth, post_office: PostOffice, clock: FixedClock, owner: Any, final: str
) -> None:
    setattr(post_office, final, "550 no such mailbox")
    await forget_password(mailing)
    await until(owner, "select 1 from medbot.mails where done_at is not null")
    clock.advance(hours=1)
    await asyncio.sleep(1.2)
    assert post_office.tried == 1


async def test_a_slow_server_holds_up_no_request(mailing: Auth, post_office: PostOffice) -> None:
    post_office.dawdle = 2.0
    await forget_password(mailing)
    async with asyncio.timeout(1.5):
        await forget_password(mailing)
        assert (await mailing.login(EMAIL)).status_code == 200
    assert (await post_office.mail())["to"] == EMAIL


async def test_a_mail_of_a_process_that_died_is_sent_by_another(
    mailing: Auth, post_office: PostOffice, clock: FixedClock, owner: Any
) -> None:
    await owner.execute(
        "insert into medbot.mails (id, kind, user_id, recipient, created_at, due_at, attempts)"
        " select gen_random_uuid(), 'reset', id, sha256('x'), $1, $2, 1 from auth.users",
        clock.now,
        clock.now + sending.LEASE,
    )
    await asyncio.sleep(1.2)
    assert post_office.tried == 0  # the lease of the one who took it runs still
    clock.advance(seconds=120)
    await post_office.token()


async def test_two_instances_send_a_mail_once(
    mailing: Auth, open_auth: OpenAuth, post_office: PostOffice, owner: Any
) -> None:
    await open_auth(smtp_url=post_office.url)
    for _ in range(4):
        await forget_password(mailing)
    ids = {(await post_office.mail())["message-id"] for _ in range(4)}
    assert len(ids) == 4
    await until(owner, "select count(*) = 4 from medbot.mails where done_at is not null")
    assert post_office.tried == 4


async def test_nobody_fills_a_mailbox_through_us(
    mailing: Auth, post_office: PostOffice, clock: FixedClock, owner: Any
) -> None:
    for _ in range(8):
        await forget_password(mailing)
    await until(owner, "select count(*) = 5 from medbot.mails")
    assert post_office.tried == 5
    clock.advance(hours=1, seconds=1)
    await forget_password(mailing)
    await until(owner, "select count(*) = 6 from medbot.mails where done_at is not null")


async def test_a_mail_is_given_up_after_a_day(
    mailing: Auth, post_office: PostOffice, clock: FixedClock, owner: Any
) -> None:
    await post_office.close()
    await forget_password(mailing)
    await until(owner, WAITS.format(n=1, by=FAR))
    clock.advance(hours=25)
    await until(owner, "select count(*) = 0 from medbot.mails")
    assert post_office.mails.empty()


def test_mails_wait_longer_each_time() -> None:
    waits = [sending.wait_after(n) / timedelta(seconds=1) for n in (1, 2, 3, 8, 9, 100)]
    assert waits == [10, 20, 40, 1280, 1800, 1800]


class Lines(logging.Handler):
    """Keeps what would have been written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(str(record.msg))


@pytest.mark.parametrize(("log_format", "shown"), [("json", False), ("console", True)])
async def test_without_a_server_only_the_development_log_shows_the_link(
    open_auth: OpenAuth, owner: Any, log_format: str, shown: bool
) -> None:
    auth = await open_auth(log_format=log_format)
    await auth.register(EMAIL)
    configure(json_lines=True, keep_pii=False)
    listening = Lines()
    logging.getLogger().addHandler(listening)
    await forget_password(auth)
    await until(owner, "select 1 from medbot.mails where done_at is not null")
    logging.getLogger().removeHandler(listening)
    written = "".join(listening.lines)
    assert ("reset-password#token=" in written) is shown
    assert ("mail.no_server" in written) is not shown
    assert EMAIL not in written


async def hand_over(url: str) -> None:
    sender, recipient = smtp.address("no-reply@medbot.example"), smtp.address(EMAIL)
    message = texts.compose(texts.KNOWN, None, sender=sender, recipient=recipient, message_id="1")
    await smtp.send(smtp.parse(url), message)


async def test_a_password_is_sent_over_tls_alone(
    post_office: PostOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"smtp://medbot:right@localhost:{post_office.port}"
    with pytest.raises(smtp.NotNow):
        await hand_over(url)
    assert post_office.logins == []
    path, post_office.tls = certificate(tmp_path)
    with pytest.raises(smtp.NotNow):
        await hand_over(url)  # the certificate is of nobody we trust
    assert post_office.logins == []
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    await hand_over(url)
    assert post_office.logins == [(b"medbot", b"right")]
    assert (await post_office.mail())["to"] == EMAIL
    with pytest.raises(smtp.NotNow):  # the operator mends it, the mail waits
        await hand_over(url.replace("right", "wrong"))


async def test_a_server_that_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    monkeypatch.setattr(smtp, "WITHIN", 0.2)
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(smtp.NotNow):
            await asyncio.wait_for(hand_over(f"smtp://127.0.0.1:{port}"), 3)
        await asyncio.wait_for(left.wait(), 3)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.org", smtp.Server("mail.example.org", 587, False, None)),
        (
            "smtp://mail.example.org:25?starttls=off",
            smtp.Server("mail.example.org", 25, False, False),
        ),
        ("smtp://a%40b:p%2Fw@h", smtp.Server("h", 587, False, True, "a@b", "p/w")),
        ("smtps://u:p@h", smtp.Server("h", 465, True, False, "u", "p")),
    ],
)
def test_an_address_names_a_server(url: str, server: smtp.Server) -> None:
    assert smtp.parse(url) == server
    assert "p/w" not in repr(smtp.parse(url))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtp_url", "http://h"), ("smtp_url", "smtp://"), ("smtp_url", "smtp://h:99999"),
        ("smtp_url", "smtp://h?starttls=maybe"), ("mail_from", "nobody"), ("mail_from", ""),
        ("public_url", "ftp://h"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({name: value})


async def test_an_address_in_other_letters_gets_its_mail(
    mailing: Auth, post_office: PostOffice
) -> None:
    await mailing.register("josé@bücher.example")
    await mailing.post("/password/forgot", email="JOSÉ@Bücher.example")
    assert (await post_office.mail())["to"] == "josé@xn--bcher-kva.example"


LONG = "\u2c65" * 64 + "@" + "d" * 60 + "." + "d" * 60 + ".org"
"""An address that no mail can be written to."""


async def test_an_address_that_grows_in_lower_case_is_refused(
    open_auth: OpenAuth, post_office: PostOffice, owner: Any
) -> None:
    auth = await open_auth(smtp_url=post_office.url, email_confirmation=True)
    answer = await auth.post("/register", email=LONG.upper(), password="a good password")
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert await owner.fetchval("select count(*) from medbot.pending_accounts") == 0


async def test_an_address_that_cannot_be_written_to_holds_up_no_other(
    mailing: Auth, post_office: PostOffice, clock: FixedClock, owner: Any
) -> None:
    configure(json_lines=True, keep_pii=False)
    listening = Lines()
    logging.getLogger().addHandler(listening)
    await owner.execute(
        "with p as (insert into medbot.pending_accounts (id, email, password_hash, created_at)"
        "  values (gen_random_uuid(), $1, 'x', $2) returning id)"
        " insert into medbot.mails (id, kind, pending_id, recipient, created_at, due_at)"
        " select gen_random_uuid(), 'verify', id, sha256('x'), $2, $2 from p",
        LONG,
        clock.now - timedelta(seconds=1),
    )
    await forget_password(mailing)
    assert (await post_office.mail())["to"] == EMAIL
    logging.getLogger().removeHandler(listening)
    assert await owner.fetchval("select count(*) from medbot.mails where kind = 'verify'") == 0
    assert await owner.fetchval("select count(*) from medbot.mailed_tokens") == 1
    (line,) = [line for line in listening.lines if "mail.no_such_address" in line]
    assert LONG not in "".join(listening.lines)
    assert "verify" in line
