#!/usr/bin/env python3
"""One user's whole journey against a running Medbot, as a table: the smoke test of a deployment.

    .venv/bin/python test_api.py [--url http://localhost:8000] [--keep]
    .venv/bin/python test_api.py --email you@your.org --password … [--url …] [--keep]

Makes an account of its own and erases it at the end; one that is named stays as it was. The exit
status is 1 when a step failed.
"""

import argparse
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

QUESTION = "How long does a cold last, and what helps?"
EMERGENCY = "I have a crushing pain in my chest and my left arm feels numb"
WAITS = "sign-up waits for a mailed link: pass --email and --password of a confirmed account"
OK, FAILED, NOT_TRIED = "ok", "FAILED", "not tried"


class Unexpected(Exception):
    """An answer that is not what the documents promise."""


class NobodySignedIn(Exception):
    """All that is left needs an account."""


@dataclass
class Journey:
    """The client, whose account it is, what it has learned, and what became of each step.

    `lent`: the account was there before, and stays.
    """

    http: httpx.Client
    login: dict[str, str]
    lent: bool
    known: dict[str, Any] = field(default_factory=dict)
    conversations: list[str] = field(default_factory=list)
    rows: list[tuple[str, str, float, str]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times a step and keeps its outcome; a failure ends no other step."""
        started, said, outcome = time.perf_counter(), "", OK
        try:
            yield
        except Exception as error:  # an answer may be malformed in any way
            outcome, said = FAILED, f"{type(error).__name__}: {error}"[:120]
        self.rows.append((name, outcome, (time.perf_counter() - started) * 1000, said))

    def call(self, method: str, path: str, *wanted: int, **given: Any) -> Any:
        """One request with the token, if there is one; its JSON, None where it answers 204.

        Raises:
            Unexpected: the status is none of `wanted`, or the answer is no JSON object.
        """
        headers = given.pop("headers", {})
        if token := self.known.get("token"):
            headers["Authorization"] = f"Bearer {token}"
        answer = self.http.request(method, path, headers=headers, **given)
        if answer.status_code not in wanted:
            raise Unexpected(f"{method} {path} answered {answer.status_code}, not {wanted}")
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
        told = answer.json()
        expect(isinstance(told, dict), f"{method} {path} answered no JSON object")
        return told

    def sign_in(self, session: dict[str, Any]) -> None:
        """Goes on with these tokens."""
        self.known["token"] = session["access_token"]
        self.known["refresh"] = session["refresh_token"]

    def must_be_signed_in(self) -> None:
        """Raises NobodySignedIn unless there is a token."""
        if not self.known.get("token"):
            raise NobodySignedIn


def expect(holds: object, what: str) -> None:
    """Raises Unexpected unless it holds."""
    if not holds:
        raise Unexpected(what)


def health(j: Journey) -> None:
    """The gateway lives and all that it needs is ready."""
    with j.step("health"):
        expect(j.call("GET", "/health", 200)["status"] == "ok", "not ok")
    with j.step("ready"):
        rows = j.call("GET", "/ready", 200)["checks"]
        expect(all(row["ok"] for row in rows), f"not ready: {rows}")
    with j.step("openapi"):
        expect("/api/v1/auth/login" in j.call("GET", "/openapi.json", 200)["paths"], "no login")


def account(j: Journey) -> None:
    """Somebody registers, unless the account is there, comes back, and is known."""
    if not j.lent:
        with j.step("register"):
            given = {**j.login, "full_name": "Smoke"}
            made = j.call("POST", "/api/v1/auth/register", 201, json=given)
            expect(made["session"], WAITS)
            j.sign_in(made["session"])
        j.must_be_signed_in()
    with j.step("login"):
        j.sign_in(j.call("POST", "/api/v1/auth/login", 200, json=j.login)["session"])
    j.must_be_signed_in()
    with j.step("refresh"):
        given = {"refresh_token": j.known["refresh"]}
        j.sign_in(j.call("POST", "/api/v1/auth/refresh", 200, json=given)["session"])
    with j.step("me"):
        email = j.call("GET", "/api/v1/auth/me", 200)["email"]
        expect(email.lower() == j.login["email"].lower(), "another's account")
    with j.step("profile"):
        if j.lent:
            j.call("GET", "/api/v1/profile", 200)
        else:
            j.call("PUT", "/api/v1/profile", 200, json={"locale": "en-GB"})
    with j.step("no token is 401"):
        token = j.known.pop("token")
        try:
            j.call("GET", "/api/v1/auth/me", 401)
        finally:
            j.known["token"] = token


def chat(j: Journey) -> None:
    """A question is answered with sources, as a stream and whole; an emergency is seen first."""
    with j.step("conversation"):
        made = j.call("POST", "/api/v1/conversations", 201, json={})
        j.known["conversation"] = f"/api/v1/conversations/{made['id']}"
        j.conversations.append(j.known["conversation"])
    with j.step("question, streamed"):
        events = list(stream(j, QUESTION))
        names = [name for name, _ in events]
        expect(names[:1] == ["message"] and names[-1:] == ["done"], "no whole stream")
        said = "".join(data["text"] for name, data in events if name == "delta")
        expect(said == events[-1][1]["message"]["content"], "deltas are not the message")
        expect("citation" in names, "no source")
    with j.step("emergency comes first"):
        levels = [data["level"] for name, data in stream(j, EMERGENCY) if name == "triage"]
        expect(levels == ["emergency"], f"seen as {levels}")
    with j.step("messages"):
        items = j.call("GET", j.known["conversation"] + "/messages", 200)["items"]
        expect([item["role"] for item in items] == ["user", "assistant"] * 2, "not in order")
    with j.step("search"):
        found = j.call("GET", "/api/v1/conversations", 200, params={"q": "crushing pain"})
        expect(found["items"], "nothing found")
    with j.step("library"):
        j.call("GET", "/api/v1/library/search", 200, params={"q": "fever in a child", "k": 3})


def stream(j: Journey, content: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a streamed reply."""
    headers = {"Authorization": f"Bearer {j.known['token']}", "Accept": "text/event-stream"}
    path = j.known["conversation"] + "/messages"
    with j.http.stream("POST", path, json={"content": content}, headers=headers) as answer:
        if answer.status_code != httpx.codes.OK:
            raise Unexpected(f"the stream answered {answer.status_code}")
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                yield name, json.loads(line[5:])


def voice(j: Journey) -> None:
    """A voice session can be made, looked at and ended."""
    with j.step("voice session"):
        made = j.call("POST", "/api/v1/voice/session", 201, json={})
        j.known["session"] = f"/api/v1/voice/session/{made['session_id']}"
        j.conversations.append(f"/api/v1/conversations/{made['conversation_id']}")
        expect(made["websocket_url"].startswith("ws"), "no socket")
    with j.step("voice status"):
        j.call("GET", j.known["session"] + "/status", 200)
    with j.step("voice ends"):
        j.call("DELETE", j.known["session"], 204)


def leaving(j: Journey) -> None:
    """Everything about the person comes out, and what was made goes."""
    with j.step("export"):
        expect(j.call("GET", "/api/v1/auth/me/export", 200), "an empty export")
    if not j.lent:
        with j.step("erase"):
            j.call("DELETE", "/api/v1/auth/me", 202)
        return
    for path in j.conversations:
        with j.step("delete conversation"):
            j.call("DELETE", path, 204)
    with j.step("logout"):
        j.call("POST", "/api/v1/auth/logout", 204)


STEPS: tuple[Callable[[Journey], None], ...] = (health, account, chat, voice, leaving)


def walk(j: Journey, *, keep: bool) -> None:
    """Every step, or those up to where nobody could sign in."""
    try:
        for part in STEPS:
            if not (keep and part is leaving):
                part(j)
    except NobodySignedIn:
        j.rows.append(("all else", NOT_TRIED, 0, "nobody is signed in"))


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--url", default="http://localhost:8000")
    parser.add_argument("--email", help="an account that is there, confirmed; it is not erased")
    parser.add_argument("--password", help="that account's")
    parser.add_argument("--keep", action="store_true", help="leave what was made")
    given = parser.parse_args()
    named = (given.email, given.password)
    if "" in named or named.count(None) == 1:
        parser.error("--email and --password go together, and neither is empty")
    return given


def main() -> int:
    """Answers the exit status."""
    given = options()
    email = given.email or f"smoke-{secrets.token_hex(6)}@example.org"
    login = {"email": email, "password": given.password or secrets.token_urlsafe(18)}
    with httpx.Client(base_url=given.url, timeout=60) as http:
        journey = Journey(http, login, lent=given.email is not None)
        walk(journey, keep=given.keep)
    table = Table("step", "", "ms", "", title=given.url)
    for name, outcome, ms, said in journey.rows:
        table.add_row(name, outcome, f"{ms:.0f}", said)
    Console(markup=False).print(table)
    return 0 if all(outcome == OK for _, outcome, _, _ in journey.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
