"""A pytest plugin: every test's database is one that Supabase has handed over.

`pytest -p on_supabase` with `MEDBOT_TEST_POSTGRES`. Its schema `auth` was there before ours.
"""

import asyncio
from collections.abc import Iterator

import pytest
import supabase_database


@pytest.fixture(scope="session")
def template(postgres: str) -> Iterator[str]:
    """In place of the one that our migrations make alone."""
    with asyncio.Runner() as runner:
        making = supabase_database.migrated(postgres)
        yield runner.run(making.__aenter__())
        runner.run(making.__aexit__(None, None, None))
