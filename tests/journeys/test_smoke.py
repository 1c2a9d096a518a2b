"""The smoke test that deployments run passes here, and fails where nothing answers as it must."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from installation import PASSWORD, Installation, sign_up, visitor
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.testing import serve
from kit.testing.ports import free_port

pytestmark = pytest.mark.journey

SCRIPT = Path(__file__).resolve().parents[2] / "test_api.py"
SIGNED_UP = {"session": {"access_token": "a", "refresh_token": "b"}}


def smoke(url: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, "--url", url, *more],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "220"},
    )


@dataclass
class Door:
    """A gateway that answers as it is told, all else with `rest`; it keeps what was asked."""

    answers: dict[str, Response]
    rest: Response
    asked: list[str] = field(default_factory=list)

    async def _answer(self, request: Request) -> Response:
        asked = f"{request.method} {request.url.path}"
        self.asked.append(asked)
        return self.answers.get(asked, self.rest)

    async def smoke(self, *more: str) -> subprocess.CompletedProcess[str]:
        """What the smoke test makes of it."""
        methods = ["GET", "POST", "PUT", "DELETE"]
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=methods)])
        async with serve(app) as served:
            return await asyncio.to_thread(smoke, served.url, *more)


def line_of(step: str, done: subprocess.CompletedProcess[str]) -> str:
    return next(line for line in done.stdout.splitlines() if f"│ {step} " in line)


def test_every_step_of_the_smoke_test_is_ok(library_mode: Installation) -> None:
    done = smoke(library_mode.url)
    assert done.returncode == 0, done.stdout
    assert "FAILED" not in done.stdout
    assert "erase" in done.stdout


async def test_an_account_that_is_there_is_left_as_it_was(library_mode: Installation) -> None:
    async with visitor(library_mode.url) as http:
        signed_up = await sign_up(http)
        http.headers["authorization"] = f"Bearer {signed_up['session']['access_token']}"
        made = (await http.post("/api/v1/conversations", json={"title": "Mine"})).json()
        before = (await http.get("/api/v1/profile")).json()

        login = ("--email", signed_up["user"]["email"], "--password", PASSWORD)
        done = await asyncio.to_thread(smoke, library_mode.url, *login)
        assert done.returncode == 0, done.stdout
        assert "register" not in done.stdout
        assert "erase" not in done.stdout

        assert (await http.get("/api/v1/profile")).json() == before
        left = (await http.get("/api/v1/conversations")).json()["items"]
        assert [each["id"] for each in left] == [made["id"]]
        sessions = (await http.get("/api/v1/auth/sessions")).json()["items"]
        assert [each["current"] for each in sessions] == [True]


@pytest.mark.parametrize(
    "more",
    [
        ("--email", "a@b.example"),
        ("--password", "x"),
        ("--email", "a@b.example", "--password", ""),
        ("--email", "", "--password", "x"),
    ],
)
def test_an_address_needs_its_password(more: tuple[str, ...]) -> None:
    done = smoke(f"http://127.0.0.1:{free_port()}", *more)
    assert done.returncode == 2
    assert "--email and --password go together" in done.stderr


def test_it_fails_where_nothing_answers() -> None:
    done = smoke(f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "FAILED" in done.stdout


async def test_it_stops_where_an_account_waits_for_a_mailed_link() -> None:
    waits = JSONResponse({"user": {"id": "1"}, "session": None}, status_code=201)
    door = Door({"POST /api/v1/auth/register": waits}, JSONResponse({}, status_code=403))
    done = await door.smoke()
    assert door.asked[-1] == "POST /api/v1/auth/register"
    assert done.returncode == 1
    said = "waits for a mailed link: pass --email and --password of a confirmed account"
    assert said in line_of("register", done)
    assert "not tried" in line_of("all else", done)


async def test_it_stops_where_a_password_is_refused() -> None:
    door = Door({}, JSONResponse({}, status_code=401))
    done = await door.smoke("--email", "vera@b.example", "--password", "swordfish")
    assert door.asked[-1] == "POST /api/v1/auth/login"
    assert done.returncode == 1
    assert "answered 401" in line_of("login", done)
    assert "swordfish" not in done.stdout + done.stderr


@pytest.mark.parametrize("body", ["", "null", "[]", '"x"', "{}", "<html>"])
async def test_an_answer_that_makes_no_sense_is_a_row(body: str) -> None:
    signed_up: dict[str, Any] = {
        "POST /api/v1/auth/register": JSONResponse(SIGNED_UP, status_code=201),
        "POST /api/v1/conversations": JSONResponse({"id": "1"}, status_code=201),
    }
    done = await Door(signed_up, Response(body, media_type="application/json")).smoke()
    assert done.stderr == ""
    assert done.returncode == 1
    for step in ("health", "login", "question, streamed", "voice session", "export", "erase"):
        assert "FAILED" in line_of(step, done)


async def test_what_an_answer_says_is_shown_as_it_is() -> None:
    check = {"name": "[/b]", "ok": False}
    answers: dict[str, Response] = {"GET /ready": JSONResponse({"checks": [check]})}
    done = await Door(answers, JSONResponse({}, status_code=401)).smoke()
    assert done.stderr == ""
    assert str(check) in line_of("ready", done)


async def test_a_stream_whose_events_make_no_sense_is_a_row() -> None:
    answers = {
        "POST /api/v1/auth/register": JSONResponse(SIGNED_UP, status_code=201),
        "POST /api/v1/conversations": JSONResponse({"id": "1"}, status_code=201),
        "POST /api/v1/conversations/1/messages": Response(
            'event: message\ndata: {}\n\nevent: triage\ndata: 7\n\nevent: done\ndata: ["x"]\n\n'
        ),
    }
    done = await Door(answers, JSONResponse({})).smoke()
    assert done.stderr == ""
    assert "FAILED" in line_of("question, streamed", done)
    assert "FAILED" in line_of("emergency comes first", done)
