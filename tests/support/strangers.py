"""Calls that schemathesis makes up from an OpenAPI document, and whoever makes them."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from installation import PASSWORD, Installation, fresh_email
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

import tokens

TIMEOUT = 30
ENDLESS = {"/api/v1/events"}
"""Streams without an end: of these the head alone is looked at."""

NOT_HERE = {"voice.no_media_server", "voice.no_webhook"}
"""What is refused with 503 because the installation is made without it."""

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@dataclass
class Stranger:
    """Somebody who calls; `come` answers a token, and ids by the names that they have in paths.

    One whose token has ended comes as another.
    """

    come: Callable[[], tuple[str, dict[str, str]]]
    holds: Callable[[str], bool]
    token: str = ""
    things: dict[str, str] = field(default_factory=dict)

    def headers(self) -> dict[str, str]:
        """With a token that holds."""
        if not self.token or not self.holds(self.token):
            self.token, self.things = self.come()
        return {"authorization": f"Bearer {self.token}"}


def person(house: Installation, role: str | None = None) -> Stranger:
    """Has an account with `role`, a conversation with an exchange in it, and a voice session."""

    def come() -> tuple[str, dict[str, str]]:
        with httpx.Client(base_url=house.url, timeout=TIMEOUT, trust_env=False) as http:
            return _arrive(house, http, role)

    def holds(token: str) -> bool:
        sent = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=house.url, timeout=TIMEOUT, trust_env=False) as http:
            return http.get("/api/v1/auth/validate", headers=sent).status_code == 200

    return Stranger(come, holds)


def _arrive(
    house: Installation, http: httpx.Client, role: str | None
) -> tuple[str, dict[str, str]]:
    def post(path: str, **sent: Any) -> Any:
        answer = http.post(path, json=sent)
        assert answer.status_code < 300, answer.text
        return answer.json()

    signed_in = post("/api/v1/auth/register", email=fresh_email(), password=PASSWORD)
    owner = signed_in["user"]["id"]
    if role is not None:
        granted = "insert into public.user_roles (user_id, role) values ($1::uuid, $2)"
        asyncio.run(house.rows(granted, owner, role))
        refresh = signed_in["session"]["refresh_token"]
        signed_in = post("/api/v1/auth/refresh", refresh_token=refresh)
    token = signed_in["session"]["access_token"]
    http.headers["authorization"] = f"Bearer {token}"
    conversation = post("/api/v1/conversations")["id"]
    path = f"/api/v1/conversations/{conversation}/messages"
    reply = post(path, content="What is flu?")["assistant_message"]["id"]
    session = post("/api/v1/voice/session")["session_id"]
    return token, {
        "conversation_id": conversation,
        "message_id": reply,
        "session_id": session,
        "person_id": owner,
        "user_id": owner,
    }


def service(house: Installation, audience: str, asking_for: Stranger) -> Stranger:
    """Another service, which calls `audience` for somebody."""

    def come() -> tuple[str, dict[str, str]]:
        asking_for.headers()
        secret = (house.data_dir / "service-token.key").read_text().strip()
        owner = UUID(asking_for.things["person_id"])
        token = tokens.service_token(
            secret, caller="voice", audience=audience, now=datetime.now(UTC), person=owner
        )
        return token, asking_for.things

    return Stranger(come, lambda _: False)  # such a token lives for a minute


def operations(document: dict[str, Any]) -> list[Any]:
    """Every operation of a document, those that end the caller's session last."""
    found = schemathesis.openapi.from_dict(document).get_all_operations()
    usable = [each.ok() for each in found if isinstance(each, Ok)]
    return sorted(usable, key=lambda operation: operation.method.upper() == "DELETE")


def faults(operation: Any, url: str, caller: Stranger, *, examples: int) -> Sequence[str]:
    """Calls an operation with what it wants and with what it does not, every other time on a
    thing that is there. Answers what is wrong: a fault of the service, or an answer of which the
    document does not know."""
    wrong: dict[str, None] = {}
    turns = itertools.count()
    for mode in GenerationMode:

        @settings(
            max_examples=examples, deadline=None, database=None, derandomize=True,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(operation.as_strategy(generation_mode=mode))
        def ask(case: Case[Any]) -> None:
            headers = caller.headers()
            if next(turns) % 2 == 0:
                real = {name: caller.things[name] for name in case.path_parameters
                        if name in caller.things}  # fmt: skip
                case.path_parameters.update(real)
            wrong.update(dict.fromkeys(_call(case, url, headers)))

        with contextlib.suppress(Unsatisfiable):  # nothing can be wrong where nothing is wanted
            ask()
    return list(wrong)


def _call(case: Case[Any], url: str, headers: dict[str, str]) -> Iterator[str]:
    if case.path in ENDLESS:
        sent = case.as_transport_kwargs(base_url=url, headers=headers)
        with requests.request(**sent, stream=True, timeout=TIMEOUT) as begun:
            if begun.status_code >= 500:
                yield f"{case.method} {case.path}: {begun.status_code}"
        return
    answer = case.call(base_url=url, headers=headers, timeout=TIMEOUT)
    if answer.status_code == 503 and answer.json()["code"] in NOT_HERE:
        return
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as found:
        for each in found.exceptions:
            yield f"{case.method} {case.path}: {answer.status_code} {each}"
