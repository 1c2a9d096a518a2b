"""The Supabase on the loopback answers each recorded request as the real one did."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import supabase_answers as answers
from supabase_admin import SERVICE
from supabase_answers import Account
from supabase_server import ANON, Project

from kit.testing import FixedClock

EMAIL, PASSWORD = "b1@example.test", "secret horse"
Given = dict[str, str]


def account(
    email: str = EMAIL, *, confirmed: bool = True, banned: bool = False, name: str = "Bea"
) -> Account:
    made = Account(uuid4(), email, PASSWORD, datetime(2029, 1, 1).astimezone(), confirmed)
    made.app, made.data, made.banned = dict(answers.PROVIDED), {"full_name": name}, banned
    return made


def _set(**fields: Any) -> Callable[[Project], None]:
    def prepare(project: Project) -> None:
        for name, said in fields.items():
            setattr(project, name, said)

    return prepare


PROJECTS: dict[str, Callable[[Project], None]] = {
    "06": _set(sign_ups=False),
    "07": _set(autoconfirm=False),
    "08": _set(autoconfirm=False),
    "09": _set(autoconfirm=False),
    "10": _set(trigger_fails=True),
    "11": _set(trigger_fails=True),
    "12": _set(symmetric=True),
    "21": _set(algorithm=2),
    "38": _set(bucket=0),
    "39": _set(refuse="39"),
}
ALONE = {"01", "03", "04", "05", "06", "07", "10", "11", "33", "38", "39", "40"}
"""Exchanges with a project that has no account yet."""
ALL = sorted(path.name[:2] for path in answers.RECORDINGS.glob("*.json"))


async def prepared(project: Project, name: str, clock: FixedClock, exchange: Any) -> Given:
    """Makes what the exchange found, and says what stands in its brackets."""
    PROJECTS.get(name, _set())(project)
    given = {
        "anon key": ANON, "service_role key": SERVICE, "password": PASSWORD,
        "token_hash": "0" * 56, "site_url": "http://site.example",
    }  # fmt: skip
    if name in ALONE:
        return given
    body = exchange["request"]["body"] or {}
    whose = account(
        str(body.get("email", EMAIL)).lower(), confirmed=name not in ("09", "15"),
        banned=name == "16",
    )  # fmt: skip
    await project.add(whose)
    session = project.open(whose)
    given |= {"user_id": str(whose.id), "access_token": session["access_token"]}
    if name in ("29", "30"):
        project.links["pkce_" + given["token_hash"]] = ("recovery", whose.id)
    if name == "24":
        project.end(whose.id)
    if name == "25":
        clock.advance(hours=2)
    for number in range(5 if name == "35" else 0):
        await project.add(account(f"n{number}@example.test", confirmed=False))
    given["password"] = PASSWORD if name not in ("13", "14", "32") else "another horse"
    given["refresh_token"] = grown(project, name)
    return given


def grown(project: Project, name: str) -> str:
    """The refresh token of an exchange: the newest, its parent, or an older one."""
    back = {"19": 1, "20": 2, "21": 2}.get(name, 0)
    family = next(iter(project.families.values()), None)
    if family is None:
        return "none"
    family.tokens += [f"{number:012d}" for number in range(back)]
    return family.tokens[-1 - back]


def shape(said: Any) -> Any:
    """What is there and of which kind, without what differs each time."""
    if isinstance(said, dict):
        free = {"app_metadata", "user_metadata", "identity_data"}
        return {name: "…" if name in free else shape(each) for name, each in said.items()}
    if isinstance(said, list):
        return [shape(each) for each in said[:1]]
    return type(said).__name__


@pytest.mark.parametrize("name", ALL)
async def test_the_loopback_answers_as_recorded(
    project: Project, clock: FixedClock, name: str
) -> None:
    exchange = answers.recorded(name)
    asked, wanted = exchange["request"], exchange["response"]
    given = await prepared(project, name, clock, exchange)
    headers = {
        key: text for key, text in answers.filled(asked["headers"], given).items()
        if text != "absent"
    }  # fmt: skip
    body = answers.filled(asked["body"], given)
    async with httpx.AsyncClient(base_url=project.url) as http:
        answer = await http.request(
            asked["method"], answers.filled(asked["path"], given), headers=headers,
            content=json.dumps(body) if body is not None else None,
        )  # fmt: skip
    assert answer.status_code == wanted["status"]
    ours = {key for key in answer.headers if key.startswith(("sb-", "x-sb", "x-supa", "x-total"))}
    theirs = set(wanted["headers"]) - {"content-type", "location", "link"}
    assert ours == theirs
    for key in ("x-sb-error-code", "x-supabase-api-version", "sb-auth-refresh-token-rotated"):
        assert answer.headers.get(key) == wanted["headers"].get(key)
    if isinstance(wanted["body"], dict) and wanted["status"] >= 400:
        assert answer.json() == wanted["body"]
    elif isinstance(wanted["body"], dict):
        assert shape(answer.json()) == shape(wanted["body"])
        assert "<" not in re.sub(r'"(action_link|redirect_to|email_otp)":"[^"]*"', "", answer.text)
    if name == "29":
        assert re.fullmatch(
            r"http://site\.example/reset\?code=[0-9a-f-]{36}", answer.headers["location"]
        )
    if name == "19":
        assert answer.json()["refresh_token"] == next(iter(project.families.values())).tokens[-1]
