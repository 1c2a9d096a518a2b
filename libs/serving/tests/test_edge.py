"""What a service's outermost ring answers when something breaks inside."""

import asyncpg
import httpx
import pytest
from starlette.types import Receive, Scope, Send

from serving.edge import Edge
from telemetry import Telemetry


async def _answer_to(error: Exception) -> httpx.Response:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    transport = httpx.ASGITransport(Edge(broken, telemetry=Telemetry("test")))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        return await http.get("/")


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.AdminShutdownError("a patient's words"),
        asyncpg.ConnectionDoesNotExistError("a patient's words"),
        asyncpg.InternalClientError("a patient's words"),
        ConnectionResetError("a patient's words"),
    ],
)
async def test_a_database_that_breaks_off_is_told_with_a_time_to_come_again(
    error: Exception,
) -> None:
    answer = await _answer_to(error)
    assert (answer.status_code, answer.json()["code"]) == (503, "service.unavailable")
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert "patient" not in answer.text


async def test_a_bug_is_told_without_its_text() -> None:
    answer = await _answer_to(KeyError("a patient's words"))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "retry-after" not in answer.headers
    assert "patient" not in answer.text
