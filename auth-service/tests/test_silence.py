"""Addresses, passwords and tokens turn up in no log line and in no error."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from auth_service.testing import Auth
from kit.logs import configure

CANARY = "canary.5e2b"
EMAIL = f"{CANARY}@example.org"
SECRET = f"{CANARY}-password"


class Sink(logging.Handler):
    """Keeps every line as the process would have written it."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def sink(auth: Auth) -> Iterator[Sink]:
    configure(json_lines=True, keep_pii=False)
    root = logging.getLogger()
    formatter = root.handlers[0].formatter
    assert formatter is not None
    listening = Sink(formatter)
    root.addHandler(listening)
    yield listening
    root.removeHandler(listening)


async def test_nothing_personal_is_logged_or_said_in_errors(auth: Auth, sink: Sink) -> None:
    member = await auth.register(EMAIL, full_name=CANARY)
    profile = "/api/v1/profile"
    refusals = [
        await auth.post("/register", email=EMAIL, password=SECRET),
        await auth.post("/register", email=f"{CANARY} @ x", password=SECRET),
        await auth.post("/register", email=f"new.{EMAIL}", password=CANARY[:7]),
        await auth.post("/register", email={CANARY: SECRET}, password=[SECRET]),
        await auth.http.post("/api/v1/auth/login", content=f'{{"password": "{SECRET}", '),
        await auth.login(EMAIL, SECRET),
        await auth.login(f"unknown.{EMAIL}", SECRET),
        await auth.refresh(f"{CANARY}-token"),
        await auth.get("/api/v1/auth/me", f"{CANARY}.{CANARY}.{CANARY}"),
        await auth.put(profile, member.access, {"phone": CANARY, "date_of_birth": CANARY}),
        await auth.put(profile, member.access, {"time_zone": CANARY, "locale": CANARY}),
        await auth.put(profile, member.access, {"full_name": f"{CANARY}\n"*20}),
        await auth.get(f"/api/v1/auth/{CANARY}"),
        await auth.post("/verify", token=CANARY),
        await auth.post("/password/reset", token=CANARY, password=SECRET),
        await auth.post("/password/forgot", email={CANARY: SECRET}),
        await auth.post(
            "/password", member.access, current_password=SECRET, new_password=f"{SECRET}2"
        ),
        await auth.post("/guest/join", member.access, guest_token=CANARY),
        await auth.delete(f"/api/v1/auth/sessions/{CANARY}", member.access),
    ]  # fmt: skip
    await auth.post("/password/forgot", email=EMAIL)
    async with asyncio.timeout(5):
        while not any("mail.no_server" in line for line in sink.lines):
            await asyncio.sleep(0.05)
    await auth.post("/logout", member.access)
    assert [answer.status_code // 100 for answer in refusals] == [4] * len(refusals)
    assert not [answer.text for answer in refusals if CANARY in answer.text]
    assert len(sink.lines) >= len(refusals)
    written = "\n".join(sink.lines)
    for secret in (CANARY, member.access, member.refresh, member.access.split(".")[2]):
        assert secret not in written


async def test_an_unexpected_failure_says_nothing_personal(auth: Auth, sink: Sink) -> None:
    context = auth.context

    class Broken:
        async def login(self, email: str, password: str, device: object) -> None:
            raise RuntimeError(f"{email} {password}")

    broken = {"provider": Broken(), "verifier": context.verifier, "gate": context.gate}
    auth.app.state.context = type("C", (), broken)()
    answer = await auth.login(EMAIL, SECRET)
    auth.app.state.context = context
    assert answer.status_code == 500
    assert CANARY not in answer.text
    assert any("RuntimeError" in line for line in sink.lines)
    assert not [line for line in sink.lines if CANARY in line]
