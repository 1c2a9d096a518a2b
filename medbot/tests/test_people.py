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
