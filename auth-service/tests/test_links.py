"""Confirming an address, forgotten and changed passwords, over a real SMTP server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from dirty_equals import IsUUID

from auth_service.mails.testing import PostOffice, text_of, token_in
from auth_service.testing import PASSWORD, Auth, Member
from kit.testing import FixedClock

EMAIL, NEW = "carol@example.org", "a new password"
OpenAuth = Callable[..., Awaitable[Auth]]


@pytest.fixture
async def confirming(open_auth: OpenAuth, post_office: PostOffice) -> Auth:
    return await open_auth(smtp_url=post_office.url, email_confirmation=True)


@pytest.fixture
async def mailing(open_auth: OpenAuth, post_office: PostOffice) -> Auth:
    return await open_auth(smtp_url=post_office.url)


async def sign_up(auth: Auth, email: str = EMAIL, password: str = PASSWORD) -> Any:
    answer = await auth.post("/register", email=email, password=password, full_name="Carol")
    assert answer.status_code == 201
    return answer.json()


async def test_an_account_begins_when_its_address_is_confirmed(
    confirming: Auth, post_office: PostOffice, owner: Any
) -> None:
    made = await sign_up(confirming)
    assert made == {
        "user": {
            "id": IsUUID(4), "email": EMAIL, "full_name": "Carol", "roles": ["patient"],
            "created_at": "2030-01-01T12:00:00Z",
        },
        "session": None,
    }  # fmt: skip
    before = await confirming.login(EMAIL)
    assert (before.status_code, before.json()["code"]) == (401, "auth.bad_credentials")
    assert await owner.fetchval("select count(*) from auth.users") == 0
    mail = await post_office.mail()
    assert mail["to"] == EMAIL
    assert (await confirming.post("/verify", token=token_in(mail))).status_code == 204
    after = (await confirming.login(EMAIL)).json()
    assert after["user"] == made["user"]
    async with asyncio.timeout(5):
        while not await owner.fetchval(
            "select count(*) from medbot.queue where envelope::text like '%registered%'"
        ):
            await asyncio.sleep(0.05)


async def test_a_link_works_once_and_for_an_hour(
    confirming: Auth, post_office: PostOffice, clock: FixedClock
) -> None:
    await sign_up(confirming)
    token = await post_office.token()
    assert (await confirming.post("/verify", token=token)).status_code == 204
    again = await confirming.post("/verify", token=token)
    assert (again.status_code, again.json()["code"]) == (422, "auth.invalid_link")
    await sign_up(confirming, "dora@example.org")
    late = await post_office.token()
    clock.advance(hours=1)
    assert (await confirming.post("/verify", token=late)).status_code == 422
    for token in ("", "x", "\u0000", "x" * 5000):
        assert (await confirming.post("/verify", token=token)).status_code == 422


async def test_two_who_follow_one_link_at_once_make_one_account(
    confirming: Auth, post_office: PostOffice, owner: Any
) -> None:
    await sign_up(confirming)
    token = await post_office.token()
    answers = await asyncio.gather(*(confirming.post("/verify", token=token) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [204] + [422] * 5
    assert await owner.fetchval("select count(*) from auth.users") == 1


async def test_a_known_address_gets_the_same_answer_and_its_owner_a_mail(
    confirming: Auth, post_office: PostOffice
) -> None:
    await sign_up(confirming)
    await confirming.post("/verify", token=await post_office.token())
    again = await sign_up(confirming, password="another password")
    fresh = await sign_up(confirming, "new@example.org", "another password")
    assert {**again["user"], "id": 0, "email": 0} == {**fresh["user"], "id": 0, "email": 0}
    assert set(again) == set(fresh)
    mails = [await post_office.mail(), await post_office.mail()]
    told = next(mail for mail in mails if mail["to"] == EMAIL)
    assert "already" in told["subject"]
    assert "#token=" not in text_of(told)
    assert (await confirming.login(EMAIL)).status_code == 200
    assert (await confirming.login(EMAIL, "another password")).status_code == 401


async def test_who_registers_somebody_elses_address_gets_nothing(
    confirming: Auth, post_office: PostOffice
) -> None:
    await sign_up(confirming, password="the password of a thief")
    await sign_up(confirming)
    mails = [await post_office.mail(), await post_office.mail()]
    # The owner follows the link of the mail that they caused; the other one is dead with it.
    tokens = [token_in(mail) for mail in mails]
    assert (await confirming.post("/verify", token=tokens[1])).status_code == 204
    assert (await confirming.post("/verify", token=tokens[0])).status_code == 422
    signed_in = [
        (await confirming.login(EMAIL, password)).status_code
        for password in (PASSWORD, "the password of a thief")
    ]
    assert sorted(signed_in) == [200, 401]


async def test_a_forgotten_password_is_set_anew_by_a_mailed_link(
    mailing: Auth, post_office: PostOffice
) -> None:
    carol = await mailing.register(EMAIL)
    assert (await mailing.post("/password/forgot", email=" Carol@Example.org")).status_code == 202
    token = await post_office.token()
    weak = await mailing.post("/password/reset", token=token, password="short")
    assert weak.json()["code"] == "auth.weak_password"
    reset = await mailing.post("/password/reset", token=token, password=NEW)
    assert reset.status_code == 204
    assert (await mailing.get("/api/v1/auth/me", carol.access)).status_code == 401
    assert (await mailing.refresh(carol.refresh)).status_code == 401
    assert (await mailing.login(EMAIL)).status_code == 401
    assert (await mailing.login(EMAIL, NEW)).status_code == 200
    assert "changed" in (await post_office.mail())["subject"]
    again = await mailing.post("/password/reset", token=token, password=PASSWORD)
    assert (again.status_code, again.json()["code"]) == (422, "auth.invalid_link")


async def test_a_reset_kills_the_other_links_and_lets_a_locked_out_person_in(
    mailing: Auth, post_office: PostOffice, clock: FixedClock
) -> None:
    await mailing.register(EMAIL)
    for _ in range(2):
        await mailing.post("/password/forgot", email=EMAIL)
    first, other = await post_office.token(), await post_office.token()
    for _ in range(6):
        await mailing.login(EMAIL, "wrong password")
    assert (await mailing.login(EMAIL)).status_code == 429
    assert (await mailing.post("/password/reset", token=first, password=NEW)).status_code == 204
    assert (await mailing.post("/password/reset", token=other, password=NEW)).status_code == 422
    assert (await mailing.login(EMAIL, NEW)).status_code == 200


async def test_forgot_answers_the_same_for_everybody_and_writes_to_nobody_else(
    mailing: Auth, post_office: PostOffice, owner: Any
) -> None:
    await mailing.register(EMAIL)
    answers = [
        await mailing.post("/password/forgot", email=email)
        for email in (EMAIL, "nobody@example.org", "no address", "", "x\u0000@example.org")
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b"")}
    assert (await post_office.mail())["to"] == EMAIL
    async with asyncio.timeout(5):
        while await owner.fetchval("select count(*) from medbot.mails where done_at is null"):
            await asyncio.sleep(0.05)
    assert post_office.tried == 1
    assert await owner.fetchval("select count(*) from medbot.mails") == 1


async def test_one_purpose_is_not_another(confirming: Auth, post_office: PostOffice) -> None:
    await sign_up(confirming)
    token = await post_office.token()
    wrong = await confirming.post("/password/reset", token=token, password=NEW)
    assert wrong.status_code == 422
    assert (await confirming.post("/verify", token=token)).status_code == 204
    await confirming.post("/password/forgot", email=EMAIL)
    token = await post_office.token()
    assert (await confirming.post("/verify", token=token)).status_code == 422
    assert (await confirming.post("/password/reset", token=token, password=NEW)).status_code == 204


async def test_a_changed_password_ends_the_other_sessions(
    mailing: Auth, post_office: PostOffice
) -> None:
    here = await mailing.register(EMAIL)
    there = Member.of((await mailing.login(EMAIL)).json())
    sent = {"current_password": PASSWORD, "new_password": NEW}
    assert (await mailing.post("/password", here.access, **sent)).status_code == 204
    assert (await mailing.get("/api/v1/auth/me", here.access)).status_code == 200
    assert (await mailing.refresh(here.refresh)).status_code == 200
    assert (await mailing.get("/api/v1/auth/me", there.access)).status_code == 401
    assert (await mailing.refresh(there.refresh)).status_code == 401
    assert (await mailing.login(EMAIL)).status_code == 401
    assert (await mailing.login(EMAIL, NEW)).status_code == 200
    assert "changed" in (await post_office.mail())["subject"]


async def test_the_current_password_cannot_be_guessed_without_end(mailing: Auth) -> None:
    carol = await mailing.register(EMAIL)
    sent = {"current_password": "wrong password", "new_password": NEW}
    codes = [(await mailing.post("/password", carol.access, **sent)).status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    assert (await mailing.login(EMAIL)).status_code == 429
    weak = {"current_password": PASSWORD, "new_password": "short"}
    answer = await mailing.post("/password", carol.access, **weak)
    assert answer.json()["code"] == "auth.weak_password"
    assert (await mailing.post("/password", None, **sent)).status_code == 401


async def test_no_row_holds_a_token(confirming: Auth, post_office: PostOffice, owner: Any) -> None:
    await sign_up(confirming)
    token = await post_office.token()
    for table in ("mails", "mailed_tokens", "pending_accounts", "outbox", "queue"):
        rows = await owner.fetch(f"select t::text as row from medbot.{table} t")
        assert not [row for row in rows if token in row["row"]]
    assert await owner.fetchval("select count(*) from medbot.mailed_tokens") == 1


async def test_what_nobody_followed_up_is_forgotten(
    confirming: Auth, post_office: PostOffice, clock: FixedClock, owner: Any
) -> None:
    await sign_up(confirming)
    await post_office.token()
    clock.advance(hours=49)
    await confirming.context.sender.forget_old()
    for table in ("mails", "mailed_tokens", "pending_accounts"):
        assert await owner.fetchval(f"select count(*) from medbot.{table}") == 0
