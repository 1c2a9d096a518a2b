"""The services may start in any order, before their database too: each waits and says what for."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import separate

from kit.testing import Addresses

pytestmark = pytest.mark.journey

SAMPLED = {
    ("gateway", "voice", "conversation", "auth", "database"),
    ("conversation", "database", "gateway", "voice", "auth"),
}


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(order, id="-".join(order), marks=[] if order in SAMPLED else pytest.mark.long)
        for order in separate.ORDERS
    ],
)
async def test_any_order_comes_to_a_working_whole(
    addresses: Addresses, data_dir: Path, order: tuple[str, ...]
) -> None:
    parts = separate.Parts(addresses, data_dir)
    async with parts.started(*order):
        await parts.all_ready(*separate.NAMES, within=30)
        async with parts.visitor() as http:
            made = await http.post("/api/v1/conversations", json={})
            sent = {"content": "What helps with a headache?"}
            path = f"/api/v1/conversations/{made.json()['id']}/messages"
            answer = await http.post(path, json=sent)
            assert answer.status_code == 201, answer.text
            assert (await http.get("/api/v1/voice/sessions")).status_code == 200


async def test_each_alone_lives_and_says_what_it_waits_for(
    addresses: Addresses, data_dir: Path
) -> None:
    parts = separate.Parts(addresses, data_dir)
    async with parts.started(*separate.NAMES):
        for name in ("auth", "conversation", "voice"):
            ready = await parts.ready(name)
            assert (ready.status_code, ready.json()["status"]) == (503, "starting")
            assert "the database" in separate.rows(ready)["start"]["error"]
            async with httpx.AsyncClient(base_url=parts.url(name), trust_env=False) as http:
                assert (await http.get("/health")).status_code == 200
                refused = await http.get("/api/v1/conversations")
            assert (refused.status_code, refused.json()["code"]) == (503, "service.starting")
            assert int(refused.headers["retry-after"]) >= 1
        told = separate.rows(await parts.ready("gateway"))
        assert {name: row["ok"] for name, row in told.items()} == {
            "auth": False, "conversation": False, "voice": False, "keys": False,
        }  # fmt: skip


async def test_without_auth_a_service_waits_for_its_keys(
    addresses: Addresses, data_dir: Path
) -> None:
    parts = separate.Parts(addresses, data_dir)
    async with parts.started("database", "conversation"):
        ready = await parts.ready("conversation")
        told = separate.rows(ready)
        assert ready.status_code == 503
        assert (told["database"]["ok"], told["keys"]["ok"]) == (True, False)
        assert (told["bus"]["ok"], told["bus"]["needed"]) == (True, False)
