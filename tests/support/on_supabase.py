"""A pytest plugin: every test's database is one that Supabase has handed over.

`pytest -p on_supabase` with `MEDBOT_TEST_POSTGRES`. Its schema `auth` was there before ours, so
accounts of our own are none of it: an auth service that would keep them there does not start.
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what a contract holds for accounts of our own."""
    own = [item for item in items if _parameters(item).get("where") == "local"]
    config.hook.pytest_deselected(items=own)
    items[:] = [item for item in items if item not in own]


def _parameters(item: pytest.Item) -> dict[str, object]:
    return getattr(getattr(item, "callspec", None), "params", {})
