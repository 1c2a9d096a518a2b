"""Retention and cost from the command line."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import Result

from kit.testing import Addresses
from medbot.testing import plain

Command = Callable[..., Result]


@pytest.fixture
def configured(project: Path, addresses: Addresses) -> Callable[..., None]:
    """Writes the project's settings, beside those of the test's database."""

    def configured(*lines: str) -> None:
        own = (f"DATABASE_URL={addresses.service}", f"SERVICE_TOKEN_SECRET={'s' * 32}")
        (project / ".env.local").write_text("\n".join((*own, *lines)) + "\n")

    return configured


def run(addresses: Addresses, statement: str) -> Any:
    async def work() -> Any:
        connection = await asyncpg.connect(addresses.owner)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(work())


OLD = (
    "insert into public.conversations (id, owner_id, created_at) select n::text::uuid,"
    " gen_random_uuid(), now() - interval '40 days'"
    " from (values ('11111111-1111-1111-1111-111111111111'),"
    " ('22222222-2222-2222-2222-222222222222')) v (n)"
)


def test_a_dry_run_shows_what_goes_and_leaves_it(
    medbot: Command, configured: Callable[..., None], addresses: Addresses
) -> None:
    configured("RETENTION_MESSAGES_DAYS=30")
    run(addresses, OLD)
    shown = medbot("retention", "--dry-run")
    assert shown.exit_code == 0, shown.output
    lines = {line.split()[0]: line.split()[1:] for line in shown.output.splitlines()}
    assert lines["conversations"][:2] == ["RETENTION_MESSAGES_DAYS", "30"]
    assert lines["conversations"][-1] == "2"
    assert lines["audit"] == ["RETENTION_AUDIT_DAYS", "keep", "0"]
    assert run(addresses, "select count(*) from public.conversations") == 2

    gone = medbot("retention")
    assert "conversations 2 gone" in plain(gone.output)
    assert run(addresses, "select count(*) from public.conversations") == 0
    assert "operator retention.apply done class:messages" in plain(medbot("audit", "list").output)


def test_a_time_that_is_too_short_is_refused(
    medbot: Command, configured: Callable[..., None]
) -> None:
    configured("RETENTION_AUDIT_DAYS=7")
    refused = medbot("retention", "--dry-run")
    assert refused.exit_code == 1
    assert plain(refused.output).startswith("medbot: RETENTION_AUDIT_DAYS: Input should be")


def test_usage_is_shown_by_model_and_the_look_is_recorded(
    medbot: Command, configured: Callable[..., None], addresses: Addresses
) -> None:
    configured()
    run(
        addresses,
        "insert into medbot.usage (day, owner_id, service, provider, model, calls, prompt_tokens,"
        " completion_tokens, micro_usd) values ((now() at time zone 'utc')::date,"
        " gen_random_uuid(), 'conversation', 'openai', 'gpt-4.1-mini', 3, 1000, 200, 720)",
    )
    shown = medbot("usage", "--by", "model")
    assert shown.exit_code == 0, shown.output
    assert "openai gpt-4.1-mini 3 1000 200 0.0007 total 0.0007" in plain(shown.output)
    assert "no account 3" in plain(medbot("usage", "--by", "person").output)
    assert medbot("usage", "--since", "2020-01-01", "--until", "2020-01-02").exit_code == 0
    assert plain(medbot("audit", "list").output).count("operator usage.read done") == 3


def test_the_doctor_tells_of_caps_and_retention(
    medbot: Command, configured: Callable[..., None]
) -> None:
    configured(
        "OPENAI_API_KEY=sk-x", "GROQ_API_KEY=gsk-x", "LLM_MODEL=my-own", "COST_CAP_DAY_USD=5",
        "COST_CAP_PERSON_DAY_USD=0.0001", "RETENTION_MESSAGES_DAYS=365",
    )  # fmt: skip
    said = plain(medbot("doctor").output)
    assert "✓ cost COST_CAP_DAY_USD is 5 USD" in said
    assert "· cost COST_CAP_PERSON_DAY_USD is less than the" in said
    assert "· cost my-own has no price of its own" in said
    assert "llama" not in said.partition("has no price")[0].rpartition("cost")[2]
    assert "✓ retention RETENTION_MESSAGES_DAYS=365, RETENTION_FEED_DAYS=7" in said
    assert "kept for ever: RETENTION_AUDIT_DAYS" in said
