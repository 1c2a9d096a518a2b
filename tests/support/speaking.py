"""People with voice sessions, and a worker that runs them without any sound."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx

import tokens
from contracts.voice import Changes, Heartbeat, Plan
from kit.database import utc_now
from kit.testing import SERVICE_SECRET, Served

SESSION = "/api/v1/voice/session"


@dataclass
class Job:
    """What a running session asks of the voice service, call by call."""

    http: httpx.AsyncClient
    session_id: str
    secret: str = SERVICE_SECRET
    name: str = ""
    said: list[str] = field(default_factory=list)

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Calls as a worker does."""
        token = tokens.service_token(self.secret, caller="agent", audience="voice", now=utc_now())
        return await self.http.request(
            method,
            f"/internal/sessions/{self.session_id}{path}",
            headers={"authorization": f"Bearer {token}"},
            timeout=30,
            **more,
        )

    async def plan(self) -> Plan:
        """What to begin with."""
        answer = await self.call("GET", "")
        assert answer.status_code == 200, answer.text
        return Plan.model_validate_json(answer.content)

    async def beat(self, state: str = "listening", **more: Any) -> httpx.Response:
        """A sign of life."""
        heard = Heartbeat.model_validate({"agent_state": state, "job": self.name, **more})
        return await self.call("PUT", "/heartbeat", json=heard.model_dump(mode="json"))

    async def say(
        self, role: str, text: str, seq: int | None = None, **more: Any
    ) -> httpx.Response:
        """Records a turn, the next one unless a number is given."""
        number = seq if seq is not None else len(self.said) + 1
        now = datetime.now(UTC).isoformat()
        turn = {
            "seq": number, "role": role, "text": text, "started_at": now, "ended_at": now, **more,
        }  # fmt: skip
        answer = await self.call("PUT", f"/turns/{number}", json=turn)
        if answer.is_success and number > len(self.said):
            self.said.append(text)
        return answer

    async def changes(self, cursor: str, within: float = 5) -> Changes:
        """What is new."""
        answer = await self.call("GET", "/changes", params={"cursor": cursor, "within": within})
        assert answer.status_code == 200, answer.text
        return Changes.model_validate_json(answer.content)


@asynccontextmanager
async def job(served: Served, session_id: str | UUID, name: str = "") -> AsyncIterator[Job]:
    """Runs a session in place of a worker."""
    async with httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        yield Job(http, str(session_id), name=name)
