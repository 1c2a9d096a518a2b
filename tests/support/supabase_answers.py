"""What Supabase Auth was seen to answer (`supabase_recordings/`), filled in for a test's accounts.

Exchanges name what differs each time in brackets, such as `<user_id>`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

RECORDINGS = Path(__file__).parent / "supabase_recordings"
VERSION = "x-supabase-api-version"
Body = dict[str, Any]
PROVIDED: Body = {"provider": "email", "providers": ["email"]}


@dataclass
class Account:
    """A row of `auth.users`, with the password in the clear: nobody's."""

    id: UUID
    email: str
    password: str
    made_at: datetime
    confirmed: bool = False
    anonymous: bool = False
    banned: bool = False
    app: Body = field(default_factory=dict)
    data: Body = field(default_factory=dict)


class Refused(Exception):
    """An error as it was recorded."""

    def __init__(self, recording: str) -> None:
        self.said = answered(recording)


@cache
def _text(name: str) -> str:
    (path,) = RECORDINGS.glob(f"{name}-*.json")
    return path.read_text()


def recorded(name: str) -> Any:
    """An exchange by the beginning of its file's name."""
    return json.loads(_text(name))


def filled(said: Any, given: Mapping[str, str]) -> Any:
    """With what stands in brackets replaced, wherever it stands."""
    if isinstance(said, dict):
        return {name: filled(each, given) for name, each in said.items()}
    if isinstance(said, list):
        return [filled(each, given) for each in said]
    if isinstance(said, str):
        for name, text in given.items():
            said = said.replace(f"<{name}>", text)
    return said


def answered(name: str, **given: str) -> Body:
    """Status, headers and body of an exchange."""
    said: Body = filled(recorded(name)["response"], given)
    return said


def account(name: str, of: Account, **given: str) -> Body:
    """An account as the exchange shows one, alone or in a session."""
    body = answered(name, user_id=str(of.id), identity_id=str(of.id), **given)["body"]
    said: Body = body.get("user", body)
    at = of.made_at.astimezone(UTC).isoformat()
    for identity in (listed := [] if of.anonymous else said["identities"] or []):
        identity |= {"email": of.email}
        identity["identity_data"] |= {"email": of.email}
    return {
        **said, "id": str(of.id), "email": of.email, "created_at": at, "updated_at": at,
        "app_metadata": of.app, "user_metadata": of.data, "identities": listed,
        "is_anonymous": of.anonymous,
    }  # fmt: skip


def shown(name: str, of: Account, **given: str) -> Body:
    """An account alone, in the exchange of this name."""
    return {**answered(name), "body": account(name, of, **given)}


def plain(status: int, code: str) -> Body:
    """An error that is named in no recording, in the form of those that are."""
    headers = {"x-sb-error-code": code, VERSION: "2024-01-01"}
    return {"status": status, "headers": headers, "body": {"code": code, "message": code}}


def respond(request: Request, said: Body) -> Response:
    """The answer on the wire; who names no version is told errors in their older form."""
    headers = {name: text for name, text in said["headers"].items() if name != "content-type"}
    body = said["body"]
    if VERSION not in request.headers and headers.pop(VERSION, None) is not None:
        code = body.pop("code")
        body = {"code": said["status"], "error_code": code, "msg": body.pop("message"), **body}
        headers["x-sb-error-code"] = code
    if body is None:
        return Response(status_code=said["status"], headers=headers)
    if isinstance(body, str):
        return Response(body, said["status"], headers, said["headers"].get("content-type"))
    return JSONResponse(body, said["status"], headers)
