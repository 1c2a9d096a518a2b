"""One command starts everything, says what to do first, and stops when it is told to."""

import json
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

import auth_service.settings
from kit.testing.ports import free_ports
from medbot import demo, services
from medbot.testing import Up, plain

Start = Callable[..., Up]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on; the one before it is free."""
    first = free_ports(4)
    with socket.socket() as other:
        other.bind(("127.0.0.1", first + 1))
        other.listen()
        yield first + 1


def test_from_nothing_to_a_pasted_first_answer_a_crash_and_a_clean_stop(
    up: Start, project: Path
) -> None:
    first = up()
    said = first.wait_for(json.dumps({"content": demo.QUESTION}))
    seconds = float(plain(said).partition("ready after ")[2].partition(" s")[0])
    assert seconds < 15
    kept = project / ".medbot" / "demo.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["password"] in said
    answered = _paste(said)
    assert "event: citation" in answered
    assert answered.index("event: delta") < answered.index("event: done")

    second = up()
    assert second.process.wait(20) == 1
    assert plain(second.rest()).strip() == (
        f"medbot: Medbot is running already: http://localhost:{first.port} "
        f"(process {first.process.pid})"
    )

    first.stop(signal.SIGKILL)
    third = up(port=first.port)
    assert "event: done" in _paste(third.wait_for(json.dumps({"content": demo.QUESTION})))
    headers = _signed_in(third, project)
    with httpx.stream("GET", f"{third.url}/api/v1/events", headers=headers) as live:
        assert live.status_code == 200
        assert third.stop(signal.SIGINT) == 0  # a reader who never leaves holds nobody up
    assert third.said.rstrip().endswith("Stopped.")
    assert not _servers_of(project)
    lines = (project / ".medbot" / "logs" / "medbot.log").read_text().splitlines()
    assert {"level", "event", "timestamp"} <= json.loads(lines[-1]).keys()


@pytest.mark.long
def test_where_addresses_are_confirmed_links_lead_here_and_no_demo_account_is_told_of(
    up: Start, project: Path
) -> None:
    (project / ".env.local").write_text("EMAIL_CONFIRMATION=true\nDEBUG=true\n")
    running = up()
    said = plain(running.wait_for("account"))
    running.wait_for("medbot users create")
    assert demo.EMAIL not in said
    assert not (project / ".medbot" / "demo.json").exists()
    sent = {"email": "sam@example.org", "password": "correct horse battery"}
    answer = httpx.post(f"{running.url}/api/v1/auth/register", json=sent)
    assert (answer.status_code, answer.json()["session"]) == (201, None)
    log = project / ".medbot" / "logs" / "medbot.log"
    link = f"http://localhost:{running.port}/verify#token="
    until = time.monotonic() + 15
    while link not in log.read_text():
        assert time.monotonic() < until, "no link was shown"
        time.sleep(0.1)


def test_links_lead_to_the_gateway_unless_an_address_is_given(tmp_path: Path) -> None:
    def lead(given: auth_service.settings.Settings) -> str:
        told = services.together(
            given,
            database_url="postgresql:///",
            secret="s" * 32,
            port=9000,
            log_file=tmp_path / "log",
        )
        assert isinstance(told, auth_service.settings.Settings)
        return told.public_url

    assert lead(auth_service.settings.Settings()) == "http://localhost:9000"
    own = auth_service.settings.Settings(public_url="https://medbot.example")
    assert lead(own) == "https://medbot.example"


def test_a_taken_port_is_named_with_the_remedy(up: Start, taken: int) -> None:
    ended = up(port=taken - 1)
    assert ended.process.wait(20) == 1
    said = plain(ended.rest())
    assert f"port {taken} (auth) is taken" in said
    assert f"PORT={taken + 999}" in said


def test_a_value_that_cannot_be_used_stops_the_start_in_one_line(up: Start, project: Path) -> None:
    (project / ".env.local").write_text("LLM_PROVIDER=gorq\n")
    ended = up()
    assert ended.process.wait(20) == 1
    said = ended.rest().strip()
    assert said.splitlines()[-1].startswith("medbot: LLM_PROVIDER: ")
    assert "Traceback" not in said


def test_an_interrupted_start_ends_soon_and_leaves_no_server(up: Start, project: Path) -> None:
    running = up()
    running.wait_for("database")
    assert running.stop(signal.SIGINT) == 1
    assert "Traceback" not in running.said
    assert not _servers_of(project)


def _paste(said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith(("TOKEN", "CONV", "curl"))]
    assert len(lines) == 3
    done = subprocess.run(
        ["sh"], input="\n".join(lines), capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def _signed_in(running: Up, project: Path) -> dict[str, str]:
    account = json.loads((project / ".medbot" / "demo.json").read_text())
    answer = httpx.post(f"{running.url}/api/v1/auth/login", json=account)
    return {"Authorization": f"Bearer {answer.json()['session']['access_token']}"}


def _servers_of(project: Path) -> list[str]:
    """Database servers that still run from the project's folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if f"{project}/.medbot/postgres" in line]
