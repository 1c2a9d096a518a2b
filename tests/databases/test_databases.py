"""The suites hold on the databases that installations have: PostgreSQL 15, Supabase's, pooled.

Everywhere else they run on the embedded PostgreSQL 18.
"""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import supabase_database

from kit import embedded, migrations
from kit.testing import servers

ROOT = Path(__file__).resolve().parents[2]
KIT, AUTH, CONVERSATIONS = "libs/kit/tests", "auth-service/tests", "conversation-service/tests"
VOICE = "voice-service/tests"
BUS, CHAT = f"{KIT}/test_bus.py::test_", f"{CONVERSATIONS}/test_conversations.py::test_"
SAMPLE = (
    f"{KIT}/test_database.py",
    f"{BUS}events_of_one_key_arrive_in_order_and_once[postgres]",
    f"{BUS}a_poison_message_ends_as_a_dead_letter_without_words[postgres]",
    f"{CHAT}creating_again_with_the_same_key_answers_the_same",
    f"{CHAT}nobody_is_missed_or_told_twice_while_many_write",
)


@dataclass(frozen=True)
class Kind:
    """A database, what is run on it in every run, and what in the long one."""

    name: str
    sample: Sequence[str]
    whole: Sequence[str]
    plugin: str | None = None
    pooled: bool = False


KINDS = (
    Kind(
        "postgresql-15",
        (*SAMPLE, f"{AUTH}/test_rows.py"),
        (KIT, AUTH, CONVERSATIONS, VOICE),
    ),
    Kind(
        "supabase",
        SAMPLE,
        (
            KIT,
            *(f"{AUTH}/test_{name}.py" for name in ("supabase", "supabase_away", "providers")),
            CONVERSATIONS,
        ),
        plugin="on_supabase",
    ),
    Kind(
        "pgbouncer",
        SAMPLE,
        (KIT, AUTH, CONVERSATIONS, VOICE),
        pooled=True,
    ),
)


@pytest.fixture(scope="module")
def postgres_15() -> Iterator[str]:
    with servers.debian_postgres() as address:
        yield address


def run(address: str, kind: Kind, tests: Sequence[str], *more: str) -> str:
    """Runs tests on a database of this kind; answers what pytest printed."""
    with ExitStack() as stack:
        told = {"MEDBOT_TEST_POSTGRES": address}
        if kind.pooled:
            told["MEDBOT_TEST_POOLER"] = stack.enter_context(servers.pooling(address))
        plugins = ["-p", kind.plugin] if kind.plugin else []
        words = [*more, *(f"{ROOT}/{each}" for each in tests)]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, *words],
            cwd=ROOT,
            env={**_alone(), **told, "PYTHONPATH": str(ROOT / "tests" / "support")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def _alone() -> dict[str, str]:
    """A run inside a worker is none of that worker's."""
    return {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("PYTEST_", "MEDBOT_TEST_"))
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_sample_holds_on(postgres_15: str, kind: Kind) -> None:
    assert " passed" in run(postgres_15, kind, kind.sample, "-m", "not long")


def auth_schema(address: str) -> str:
    """Everything in the schema `auth`, its grants and policies too, and who may become whom."""
    memberships = (
        "select r.rolname, m.rolname from pg_auth_members a join pg_roles r on r.oid = a.roleid"
        " join pg_roles m on m.oid = a.member where r.rolname <> 'medbot_app' order by 1, 2"
    )
    programs, said = servers.POSTGRES_15, ""
    for command in (
        [f"{programs}/pg_dump", "--schema-only", "--schema=auth", address],
        [f"{programs}/psql", "-XAtc", memberships, address],
    ):
        said += subprocess.run(command, capture_output=True, check=True, text=True).stdout
    # A dump orders what it holds by what refers to it, too.
    return "\n".join(sorted(line for line in said.splitlines() if "restrict " not in line))


async def test_migrations_leave_the_schema_of_supabase_as_it_was(postgres_15: str) -> None:
    name = f"handed_{secrets.token_hex(4)}"
    await supabase_database.prepare(postgres_15, name)
    address = supabase_database.login(postgres_15, None, name)
    before = await asyncio.to_thread(auth_schema, address)
    assert "CREATE TABLE auth.users" in before
    made = await migrations.apply(
        supabase_database.login(postgres_15, supabase_database.OWNER, name),
        service_url=supabase_database.login(postgres_15, embedded.SERVICE_LOGIN, name),
    )
    assert made
    assert await asyncio.to_thread(auth_schema, address) == before
    await supabase_database.run(postgres_15, f"drop database {name} with (force)")


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_suites_hold_on(postgres_15: str, kind: Kind) -> None:
    assert " passed" in run(postgres_15, kind, kind.whole, "-m", "not long", "-n", "auto")
