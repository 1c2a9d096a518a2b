"""Settings of Supabase that cannot be used stop the start, by name."""

import pytest
from supabase_server import Project

from auth_service.testing import make_app
from kit.errors import Misconfigured
from kit.settings import Settings
from kit.testing import Addresses, FixedClock
from tokens import supabase

URL, KEY, DB = "http://127.0.0.1:9", "k", "postgresql://a@127.0.0.1/b"
HALVES: list[tuple[dict[str, str], str]] = [
    ({"supabase_url": URL, "supabase_key": KEY}, "DATABASE_URL"),
    ({"supabase_url": URL, "database_url": DB}, "NEXT_PUBLIC_SUPABASE_ANON_KEY"),
    ({"supabase_key": KEY, "database_url": DB}, "SUPABASE_KEY"),
    ({"supabase_jwt_secret": "x" * 32}, "SUPABASE_JWT_SECRET"),
    ({"supabase_url": URL, "next_public_supabase_url": f"{URL}9"}, "NEXT_PUBLIC_SUPABASE_URL"),
]


@pytest.mark.parametrize(("given", "named"), HALVES)
def test_half_of_the_settings_stops_the_start(given: dict[str, str], named: str) -> None:
    with pytest.raises(Misconfigured, match=f"^{named}: "):
        supabase.project(Settings.model_validate(given))


async def test_another_database_stops_the_start(
    addresses: Addresses, project: Project, clock: FixedClock
) -> None:
    app = make_app(addresses.service, clock, **project.settings)
    with pytest.raises(Misconfigured, match="DATABASE_URL"):
        async with app.router.lifespan_context(app):
            pass


async def test_accounts_of_our_own_stop_the_start_on_the_database_of_a_project(
    project: Project, clock: FixedClock
) -> None:
    app = make_app(project.service_url, clock)
    with pytest.raises(Misconfigured, match="NEXT_PUBLIC_SUPABASE_URL: must be set"):
        async with app.router.lifespan_context(app):
            pass
