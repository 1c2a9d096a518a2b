"""What `medbot doctor` says of the accounts."""

from typing import Any

import pytest
from supabase_server import ANON, SECRET, Project, running

from auth_service.settings import Settings
from kit.database import utc_now
from medbot.doctor import identity
from medbot.doctor.findings import Finding

DATABASE = "postgresql://a@127.0.0.1/b"


async def told(**given: Any) -> list[Finding]:
    settings = Settings.model_validate(given)
    return [finding async for finding in identity.examine(settings, probe=True)]


def of(url: str, **more: Any) -> dict[str, Any]:
    named = {"supabase_url": url, "supabase_key": ANON, "database_url": DATABASE}
    return named | {"supabase_service_role_key": "x"} | more


async def test_local_accounts() -> None:
    assert [(f.mark.name, f.said) for f in await told()] == [
        ("GOOD", "local, in the same database")
    ]


async def test_a_project_is_asked_for_its_keys() -> None:
    project = Project(DATABASE, DATABASE, DATABASE, utc_now)
    async with running(project):
        (found,) = await told(**of(project.url))
        assert (found.mark.name, found.said) == ("GOOD", "by Supabase, 1 public keys")
        project.symmetric = True
        (found,) = await told(**of(project.url))
        assert (found.mark.name, found.remedy) == ("BAD", "set SUPABASE_JWT_SECRET")
        (found,) = await told(**of(project.url, supabase_jwt_secret=SECRET))
        assert found.mark.name == "GOOD"


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        (of("http://127.0.0.1:9"), "check NEXT_PUBLIC_SUPABASE_URL"),
        (of("http://127.0.0.1:9", database_url=None), "see DATABASE_URL"),
    ],
)
async def test_a_project_that_cannot_be_used(given: dict[str, Any], remedy: str) -> None:
    first = (await told(**given))[0]
    assert (first.mark.name, first.remedy) == ("BAD", remedy)
