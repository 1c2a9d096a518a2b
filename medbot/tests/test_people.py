"""Accounts from the command line."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from typer.testing import Result

from kit.testing import Addresses
from medbot.testing import plain

Command = Callable[..., Result]


@pytest.fixture
def at_database(project: Path, addresses: Addresses) -> Addresses:
    """The project uses the test's database."""
    secret = "s" * 32
    (project / ".env.local").write_text(
        f"DATABASE_URL={addresses.service}\nSERVICE_TOKEN_SECRET={secret}\n"
    )
    return addresses


async def _roles(owner_url: str, email: str) -> list[str]:
    connection = await asyncpg.connect(owner_url)
    try:
        rows = await connection.fetch(
            "select role from auth.users u join public.user_roles r on r.user_id = u.id"
            " where u.email = $1 order by role",
            email,
        )
    finally:
        await connection.close()
    return [row["role"] for row in rows]


@pytest.fixture
def roles(at_database: Addresses) -> Callable[[str], list[str]]:
    """The roles that an account has in the database."""
    return lambda email: asyncio.run(_roles(at_database.owner, email))


def test_an_account_is_made_and_its_roles_change(
    medbot: Command, roles: Callable[[str], list[str]]
) -> None:
    words = ("users", "create", "Nurse@Clinic.example", "--role", "staff", "--password-stdin")
    made = medbot(*words, input="a long enough one\n")
    assert made.exit_code == 0, made.output
    assert made.output.startswith("nurse@clinic.example patient, staff ")
    assert roles("nurse@clinic.example") == ["patient", "staff"]

    changed = medbot("users", "role", "nurse@clinic.example", "admin", "patient")
    assert changed.exit_code == 0, changed.output
    assert roles("nurse@clinic.example") == ["admin", "patient"]


@pytest.mark.parametrize(
    ("email", "password", "reason"),
    [
        ("not an address", "a long enough one", "email: not an e-mail address"),
        ("short@clinic.example", "short", "A password needs at least 8 characters"),
    ],
)
def test_what_cannot_be_an_account_is_refused_in_one_line(
    medbot: Command, at_database: Addresses, email: str, password: str, reason: str
) -> None:
    refused = medbot("users", "create", email, "--password-stdin", input=f"{password}\n")
    assert refused.exit_code == 1
    assert len(refused.output.strip().splitlines()) == 1
    assert reason in refused.output
    assert password not in refused.output


def test_roles_of_nobody_are_refused(medbot: Command, at_database: Addresses) -> None:
    refused = medbot("users", "role", "nobody@clinic.example", "staff")
    assert refused.exit_code == 1
    assert plain(refused.output).strip() == (
        "medbot: nobody has the e-mail address nobody@clinic.example"
    )


def test_an_account_is_found_locked_and_unlocked(
    medbot: Command, at_database: Addresses, roles: Callable[[str], list[str]]
) -> None:
    medbot("users", "create", "sam@clinic.example", "--password-stdin", input="a long enough one\n")
    found = medbot("users", "find", "clinic")
    assert found.exit_code == 0, found.output
    assert "sam@clinic.example patient" in plain(found.output)
    session = (
        "insert into medbot.sessions (id, user_id, created_at, used_at)"
        " select gen_random_uuid(), id, now(), now() from auth.users"
    )
    asyncio.run(_run(at_database.owner, session))
    assert "since 20" in medbot("users", "sessions", "sam@clinic.example").output
    assert medbot("users", "lock", "SAM@clinic.example").output.strip() == (
        "sam@clinic.example locked"
    )
    assert medbot("users", "sessions", "sam@clinic.example").output == ""
    assert plain(medbot("users", "find", "--locked").output).strip().endswith("patient locked")
    assert medbot("users", "unlock", "sam@clinic.example").exit_code == 0
    assert medbot("users", "find", "--locked").output == ""
    assert medbot("users", "end", "sam@clinic.example").output.strip() == "0 ended"


def test_what_the_operator_does_is_in_the_audit_log(
    medbot: Command, at_database: Addresses
) -> None:
    medbot("users", "create", "sam@clinic.example", "--password-stdin", input="a long enough one\n")
    medbot("users", "lock", "sam@clinic.example")
    medbot("users", "lock", "nobody@clinic.example")
    medbot("events", "dead")
    listed = medbot("audit", "list")
    assert listed.exit_code == 0, listed.output
    lines = [line.split()[3:6] for line in listed.output.splitlines()]
    assert lines == [
        ["operator", "events.dead", "done"],
        ["operator", "people.find", "request.not_found"],
        ["operator", "people.lock", "done"],
        ["operator", "people.find", "done"],
    ]
    assert "sam@" not in listed.output
    about = medbot("audit", "list", "--person", "sam@clinic.example", "--action", "people.lock")
    assert len(about.output.splitlines()) == 1


def test_the_chain_is_verified_against_what_was_noted(
    medbot: Command, at_database: Addresses
) -> None:
    first = medbot("audit", "verify")
    assert first.exit_code == 0, first.output
    medbot("users", "find", "clinic")
    second = medbot("audit", "verify")
    assert plain(second.output).startswith("✓ 2 rows, unbroken up to row 2 the end is 2:")
    end = second.output.split()[-1]
    assert medbot("audit", "verify", "--anchor", end).exit_code == 0
    nothing_older = f"{2**40}:{'0' * 64}"
    beyond = medbot("audit", "verify", "--anchor", nothing_older)
    assert (beyond.exit_code, beyond.output[0]) == (1, "✗")
    asyncio.run(_run(at_database.owner, "delete from medbot.audit_log where seq = 2"))
    broken = medbot("audit", "verify", "--anchor", end)
    assert broken.exit_code == 1
    assert "✗ row 2 was removed" in broken.output
    senseless = medbot("audit", "verify", "--anchor", "two")
    assert plain(senseless.output).startswith("medbot: --anchor: a number, a colon and a hash")


def test_a_new_key_signs_and_that_is_in_the_log(medbot: Command) -> None:
    medbot("users", "find", "clinic")
    first, second = medbot("keys", "rotate"), medbot("keys", "rotate")
    assert (first.exit_code, second.exit_code) == (0, 0)
    new, old = [line.split()[0] for line in plain_lines(second.output)]
    assert first.output.split()[0] == old != new
    assert "signs no more" in second.output
    listed = medbot("audit", "list", "--action", "keys.rotate").output
    assert f"key:{old} key:{new}" in listed
    assert "operator keys.rotate done" in listed


def plain_lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.strip()]


async def _run(owner_url: str, statement: str) -> None:
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def test_the_doctor_looks_at_the_chain(medbot: Command, at_database: Addresses) -> None:
    medbot("users", "find", "clinic")
    assert "✓ audit log 1 rows, unbroken up to row 1" in plain(medbot("doctor").output)
    asyncio.run(_run(at_database.owner, "update medbot.audit_log set outcome = 'x'"))
    broken = medbot("doctor")
    assert broken.exit_code == 1
    assert "✗ audit log row 1 was changed" in plain(broken.output)
