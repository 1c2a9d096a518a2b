"""A ready-made account to try things with. It is made in the embedded database alone."""

import json
import os
import secrets
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import httpx

EMAIL = "demo@medbot.example"
QUESTION = "I have had a headache for three days. What can I do?"


@dataclass(frozen=True, slots=True)
class Account:
    """What to sign in with."""

    email: str
    password: str = field(repr=False)


async def provide(auth_url: str, kept: Path, *, confirming: bool = False) -> Account | None:
    """The demo account, made at the first start; None when its password is not known any more.

    Where addresses are confirmed (`confirming`) none is made: nobody reads its mails.
    """
    password = _read(kept)
    if confirming and password is None:
        return None
    wanted = Account(EMAIL, password or secrets.token_urlsafe(12))
    if password is None:
        _write(kept, wanted)
    async with httpx.AsyncClient(base_url=auth_url, timeout=30, trust_env=False) as http:
        sent = {"email": wanted.email, "password": wanted.password}
        first = "login" if confirming else "register"
        made = await http.post(f"/api/v1/auth/{first}", json={**sent, "full_name": "Demo"})
        if made.status_code == httpx.codes.CONFLICT:
            made = await http.post("/api/v1/auth/login", json=sent)
    if made.status_code == httpx.codes.UNAUTHORIZED:
        return None
    made.raise_for_status()
    return wanted


def known(kept: Path) -> Account | None:
    """The demo account that an earlier start has made, if any."""
    password = _read(kept)
    return Account(EMAIL, password) if password is not None else None


def first_session(url: str, account: Account) -> str:
    """Lines for a POSIX shell: sign in, open a conversation, ask and read the answer."""
    login = shlex.quote(json.dumps({"email": account.email, "password": account.password}))
    ask = shlex.quote(json.dumps({"content": QUESTION}))
    kind = "-H 'Content-Type: application/json'"
    who = '-H "Authorization: Bearer $TOKEN"'

    def taken(name: str) -> str:
        return f"""sed 's/.*"{name}":"\\([^"]*\\)".*/\\1/'"""

    return "\n".join(
        (
            f"TOKEN=$(curl -s {url}/api/v1/auth/login {kind} -d {login} | {taken('access_token')})",
            f"CONVERSATION=$(curl -s {url}/api/v1/conversations {who} {kind} -d '{{}}'"
            f" | {taken('id')})",
            f"curl -sN {url}/api/v1/conversations/$CONVERSATION/messages {who} {kind}"
            f" -H 'Accept: text/event-stream' -d {ask}",
        )
    )


def _read(kept: Path) -> str | None:
    try:
        password = json.loads(kept.read_text(encoding="utf-8"))["password"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return str(password)


def _write(kept: Path, account: Account) -> None:
    kept.unlink(missing_ok=True)
    descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"email": account.email, "password": account.password}, file)
