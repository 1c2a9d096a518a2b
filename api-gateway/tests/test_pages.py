"""What the gateway serves itself."""

import re
from pathlib import Path

from api_gateway import pages
from api_gateway.testing import Asked, Door, OpenDoor


async def test_health_needs_nobody(open_door: OpenDoor, unused_port: int) -> None:
    away = f"http://127.0.0.1:{unused_port}"
    door = await open_door(auth_service_url=away, conversation_service_url=away)
    answer = await door.client.get("/health")
    assert answer.json().keys() == {"status", "service", "version"}
    assert (answer.status_code, answer.json()["service"]) == (200, "api-gateway")


async def test_ready_has_a_row_for_each_service(door: Door) -> None:
    unready = {"auth"}  # the issuer of the tests has no such page
    answer = await door.client.get("/ready")
    rows = {row["name"]: row["ok"] for row in answer.json()["checks"]}
    assert rows == {"auth": False, "conversation": True, "voice": True, "keys": True}
    assert answer.status_code == (503 if unready else 200)
    assert door.service.asked[0].line == "GET /ready HTTP/1.1"


async def keys(asked: Asked) -> None:
    """What an auth service answers, as far as the gateway's readiness asks."""
    await asked.say(b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{"keys": []}')


async def test_ready_when_all_are(open_door: OpenDoor) -> None:
    door = await open_door()
    door.service.answer = keys
    whole = await open_door(auth_service_url=door.service.url)
    answer = await whole.client.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")


async def test_ready_when_one_says_it_is_not(open_door: OpenDoor) -> None:
    door = await open_door()
    door.service.answer = keys
    whole = await open_door(auth_service_url=door.service.url)

    async def not_ready(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")

    whole.service.answer = not_ready
    answer = await whole.client.get("/ready")
    rows = {row["name"]: row["ok"] for row in answer.json()["checks"]}
    assert answer.status_code == 503
    assert rows == {"auth": True, "conversation": False, "voice": False, "keys": True}


async def test_the_root_leads_to_the_documents(door: Door) -> None:
    answer = await door.client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


async def test_the_documents_need_no_network(door: Door) -> None:
    page = await door.client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src" not in page.headers["content-security-policy"]  # 'self' by default
    assert "http" not in page.text
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert named
    for path in named:
        assert (await door.client.get(path)).status_code == 200, path
    start = (await door.client.get("/docs/start.js")).text
    source = re.search(r'url: "([^"]+)"', start)
    assert source is not None
    drawn = (await door.client.get(source[1])).json()
    assert drawn["openapi"].startswith("3.0")


async def test_the_document_is_the_one_that_is_kept(door: Door) -> None:
    document = (await door.client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert {"/health", "/ready"} <= document["paths"].keys()


async def test_own_pages_carry_the_usual_headers(door: Door) -> None:
    for path in ("/", "/docs", "/openapi.json", "/health"):
        answer = await door.client.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert len(answer.headers["x-request-id"]) == 32
        assert len(answer.headers.get_list("content-security-policy")) == 1
        assert (await door.client.head(path)).content == b""


def test_the_console_is_served_when_it_is_built(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Medbot</title>")
    (tmp_path / "assets" / "app.js").write_text("start()")
    served = pages.open_pages(tmp_path)
    assert served["/"].status == 200
    assert served["/assets/app.js"].body == b"start()"
    assert (b"content-type", b"text/javascript") in served["/assets/app.js"].headers
    assert served["/docs"].status == 200
