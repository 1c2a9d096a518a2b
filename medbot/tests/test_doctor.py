"""The doctor names what is wrong, and what to do about it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from typer.testing import Result

from auth_service.mails.testing import open_post_office
from auth_service.settings import Settings as AuthSettings
from conversation_service.settings import Settings
from kit.testing import Addresses, serve
from kit.testing.ports import free_port, free_ports
from medbot.doctor import answers, machine, mail
from medbot.doctor.findings import Finding, Mark
from medbot.settings import Settings as Own
from medbot.testing import plain

Command = Callable[..., Result]
SECRET = "SERVICE_TOKEN_SECRET=" + "s" * 32


def test_a_fresh_folder_is_well(medbot: Command, project: Path) -> None:
    (project / ".env.local").write_text(f"PORT={free_ports(4)}\n")
    done = medbot("doctor")
    assert done.exit_code == 0, done.output
    said = plain(done.output)
    assert "embedded, not made yet → `medbot up` makes it" in said
    assert "none: answers come from the library alone" in said
    assert "✗" not in said


def test_a_slip_in_a_name_is_told_with_the_name_that_was_meant(
    medbot: Command, project: Path
) -> None:
    (project / ".env.local").write_text("OPENAI_API_KYE=sk-secret\nCARTESIA_API_KEY=x\nMY_OWN=1\n")
    done = medbot("doctor")
    assert done.exit_code == 1
    said = plain(done.output)
    assert "✗ .env.local OPENAI_API_KYE is read by nothing → did you mean OPENAI_API_KEY?" in said
    assert "· .env.local CARTESIA_API_KEY is known, but nothing here reads it" in said
    assert "· .env.local MY_OWN is read by nothing" in said
    assert "sk-secret" not in said


def test_a_value_that_cannot_be_used_is_named(medbot: Command, project: Path) -> None:
    (project / ".env.local").write_text("REPLY_LEASE_SECONDS=soon\n")
    done = medbot("doctor")
    assert done.exit_code == 1
    assert "✗ settings REPLY_LEASE_SECONDS: Input should be a valid number" in plain(done.output)


def test_a_database_without_the_secret_of_the_services_is_told_with_all_the_rest(
    medbot: Command, project: Path, addresses: Addresses
) -> None:
    (project / ".env.local").write_text(f"DATABASE_URL={addresses.service}\n")
    done = medbot("doctor")
    assert done.exit_code == 1
    said = plain(done.output)
    assert "✗ service tokens SERVICE_TOKEN_SECRET is not set beside DATABASE_URL" in said
    assert "✓ encoder" in said, "what comes later is looked at too"


def test_a_data_folder_that_cannot_be_made_is_told_with_all_the_rest(
    medbot: Command, project: Path
) -> None:
    (project / "taken").write_text("a file")
    (project / ".env.local").write_text("DATA_DIR=taken/data\n")
    done = medbot("doctor")
    assert done.exit_code == 1
    said = plain(done.output)
    assert "✗ data folder" in said
    assert "✓ encoder" in said


def test_a_login_that_sees_every_row_is_refused(
    medbot: Command, project: Path, addresses: Addresses
) -> None:
    (project / ".env.local").write_text(f"DATABASE_URL={addresses.owner}\n{SECRET}\n")
    done = medbot("doctor")
    assert done.exit_code == 1
    assert "✗ login postgres is a superuser: it sees every row → name a login" in plain(done.output)


def test_a_service_login_of_a_migrated_database_is_well(
    medbot: Command, project: Path, addresses: Addresses
) -> None:
    (project / ".env.local").write_text(
        f"DATABASE_URL={addresses.service}\n{SECRET}\nPORT={free_ports(4)}\n"
    )
    done = medbot("doctor")
    assert done.exit_code == 0, done.output
    said = plain(done.output)
    assert "✓ login medbot_service has no power of its own" in said
    assert "✓ migrations all applied" in said
    assert "· owner's login DATABASE_DIRECT_URL is not set → `medbot migrate` needs it" in said


def test_the_hint_for_a_pooler_is_no_fault(
    medbot: Command, project: Path, addresses: Addresses
) -> None:
    (project / ".env.local").write_text(f"DATABASE_URL={addresses.service}&pgbouncer=true\n")
    assert "DATABASE_URL answers" in plain(medbot("doctor").output)


def test_a_database_that_is_not_there_and_a_secret_that_is_missing_are_named(
    medbot: Command, project: Path
) -> None:
    password = "do-not-print-me"
    url = f"postgresql://medbot_service:{password}@127.0.0.1:{free_port()}/medbot"
    (project / ".env.local").write_text(f"DATABASE_URL={url}\n")
    done = medbot("doctor")
    assert done.exit_code == 1
    said = plain(done.output)
    assert "✗ database DATABASE_URL cannot be used (ConnectionRefusedError)" in said
    assert "✗ service tokens SERVICE_TOKEN_SECRET is not set beside DATABASE_URL" in said
    assert password not in said


def test_as_root_a_private_parent_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = next(machine.data_folder(Own(data_dir=private / "data")))
    assert found.mark is Mark.BAD
    assert "is private" in found.said
    assert "DATABASE_URL" in found.remedy


@pytest.mark.parametrize(
    ("key", "mark", "said"),
    [("right", Mark.GOOD, "knows the key"), ("wrong", Mark.BAD, "refuses the key")],
)
async def test_a_probe_asks_whether_the_key_is_known(key: str, mark: Mark, said: str) -> None:
    async def provider(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        known = dict(scope["headers"])[b"authorization"] == b"Bearer right"
        answer = JSONResponse({"data": []}, status_code=200 if known else 401)
        await answer(scope, receive, send)

    async with serve(provider) as served:
        settings = Settings.model_validate(
            {"openai_api_key": key, "openai_base_url": f"{served.url}/v1"}
        )
        found: list[Finding] = [one async for one in answers.models(settings, probe=True)]
    assert [one.mark for one in found] == [mark]
    assert said in found[0].said
    assert key not in found[0].said


def test_half_a_media_server_is_told(medbot: Command, project: Path) -> None:
    (project / ".env.local").write_text("LIVEKIT_URL=ws://127.0.0.1:9\n")
    done = medbot("doctor")
    assert done.exit_code == 1
    said = plain(done.output)
    assert "✗ settings LIVEKIT_URL needs LIVEKIT_API_KEY and LIVEKIT_API_SECRET beside it" in said


def test_a_media_server_that_is_not_there_is_told(medbot: Command, project: Path) -> None:
    lines = (
        "LIVEKIT_URL=ws://127.0.0.1:9",
        "LIVEKIT_API_KEY=key",
        f"LIVEKIT_API_SECRET={'s' * 40}",
    )
    (project / ".env.local").write_text("\n".join(lines))
    done = medbot("doctor", "--probe")
    assert done.exit_code == 1
    said = plain(done.output)
    assert "✗ media server ws://127.0.0.1:9 cannot be used" in said
    assert "→ check LIVEKIT_URL" in said
    assert "s" * 40 not in said


def test_a_pipeline_without_its_key_is_told(medbot: Command, project: Path) -> None:
    (project / ".env.local").write_text("VOICE_PIPELINE=realtime\n")
    done = medbot("doctor")
    assert done.exit_code == 1
    assert "✗ voice realtime cannot run here; what can: offline" in plain(done.output)


@pytest.mark.parametrize(
    ("lines", "said", "exit_code"),
    [
        ("", "· mail SMTP_URL is not set: no link reaches anybody", 0),
        ("LOG_FORMAT=console", "· mail SMTP_URL is not set: links are shown in the devel", 0),
        ("EMAIL_CONFIRMATION=true", "✗ mail EMAIL_CONFIRMATION is on without SMTP_URL", 1),
        (
            "SMTP_URL=smtp://u:swordfish@post.example:2525\nMAIL_FROM=a@b.example",
            "✓ mail by post.example:2525, from a@b.example, not asked",
            0,
        ),
        ("SMTP_URL=http://post.example", "✗ settings SMTP_URL: Value error, an address such as", 1),
    ],
)
def test_mail_is_looked_at(
    medbot: Command, project: Path, lines: str, said: str, exit_code: int
) -> None:
    (project / ".env.local").write_text(f"PORT={free_ports(4)}\n{lines}\n")
    done = medbot("doctor")
    assert said in plain(done.output)
    assert done.exit_code == exit_code
    assert "swordfish" not in done.output


async def test_a_probe_signs_in_to_the_mail_server() -> None:
    async with open_post_office() as office:
        settings = AuthSettings.model_validate({"smtp_url": office.url})
        found = [finding async for finding in mail.examine(settings, probe=True)]
        assert found[0].mark is Mark.GOOD
    found = [finding async for finding in mail.examine(settings, probe=True)]
    assert found[0].mark is Mark.BAD
    assert found[0].remedy == "check SMTP_URL"
