"""The same diagnosis on the calls that services make of each other, which no document shows."""

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
import shots
from diagnosis import (
    SERVICES,
    WORD,
    Watch,
    fire,
    forged,
    model,
    nothing_shows,
    own_things,
)
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from installation import Installation, newcomer
from model_server import Say
from shots import Operation, Shot

import tokens
from auth_service import main as auth
from conversation_service import main as conversation
from kit.database import utc_now
from voice_service import main as voice

pytestmark = pytest.mark.journey

BUILD: dict[str, Callable[[], FastAPI]] = {
    "auth": auth.build,
    "conversation": conversation.build,
    "voice": voice.build,
}


def internal(service: str) -> list[Operation]:
    """The calls that services make of this one, which no document shows."""
    shown = FastAPI()
    for context in iter_route_contexts(BUILD[service]().routes):
        route = context.original_route
        if isinstance(route, APIRoute) and (context.path or "").startswith("/internal/"):
            shown.add_api_route(
                context.path or "",
                route.endpoint,
                methods=sorted(route.methods or ()),
                status_code=route.status_code,
                response_model=None,
            )
    return list(shots.operations(shown.openapi()))


@pytest.mark.parametrize("service", SERVICES)
async def test_every_call_between_services(
    house: Installation, model_at: int, watching: None, service: str
) -> None:
    watch = Watch()
    secret = (house.data_dir / "service-token.key").read_text().strip()
    async with model(house, model_at, Say("It helps to rest.")), newcomer(house.url) as person:
        known = await own_things(person)
        made = await person.http.post("/api/v1/voice/session", json={"metadata": {"why": WORD}})
        known |= {"session_id": made.json()["session_id"], "person_id": str(person.actor.id)}
        token = tokens.service_token(
            secret,
            caller="agent" if service == "voice" else "voice",
            audience=service,
            now=utc_now(),
            person=person.actor.id,
            ttl=timedelta(minutes=10),
        )
        found = internal(service)
        assert len(found) >= 2
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(
            base_url=house.url_of(service), timeout=30, headers=headers, trust_env=False
        ) as http:
            for operation in found:
                path = {**known, **dict.fromkeys({"seq"} & {*operation.named("path")}, "1")}
                for shot in shots.shots(operation, WORD, path):
                    await fire(http, service, shot, watch)
                for bad in forged():
                    given = {"authorization": f"Bearer {bad}"}
                    refused = Shot("token", operation.method, operation.path, {}, given)
                    await fire(http, service, refused, watch)
    assert watch.sent > 5 * len(found)
    assert {401, 404} <= watch.statuses
    assert {200, 204} & watch.statuses
    assert sorted(watch.leaks) == []
    await nothing_shows(house)
