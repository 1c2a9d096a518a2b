"""Every operation of every document, called with what it wants and with what it does not: no fault
of a service, no answer that its document does not know."""

import json
from typing import Any

import httpx
import pytest
import strangers
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from installation import ROOT, Installation

from medbot import services
from serving import problems

pytestmark = [
    pytest.mark.journey,
    pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning"),
]

SERVICES = {one.name: one for one in services.IN_ORDER}
DEEP = 20
"""Calls of each kind in the long run; the default run makes one."""

SIZES = [1, pytest.param(DEEP, marks=pytest.mark.long)]


def document_of(name: str) -> dict[str, Any]:
    path = ROOT / SERVICES[name].folder / "openapi.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def internal_of(name: str) -> dict[str, Any]:
    """What services alone may call, which stands in no document that is handed out."""
    app = SERVICES[name].build(None)
    assert isinstance(app, FastAPI)
    inside = FastAPI()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.path.startswith("/internal/"):
            route.include_in_schema = True
            inside.router.routes.append(route)
    document = inside.openapi()
    problem = {"description": "A problem", "content": {problems.MEDIA_TYPE: {}}}
    for operation in (each for item in document["paths"].values() for each in item.values()):
        operation["responses"].pop("422", None)
        operation["responses"]["default"] = problem
    return document


@pytest.mark.parametrize("examples", SIZES)
@pytest.mark.parametrize("name", ["auth", "conversation", "voice"])
def test_a_person_at_a_service(library_mode: Installation, name: str, examples: int) -> None:
    _holds(document_of(name), library_mode.url_of(name), strangers.person(library_mode), examples)


@pytest.mark.parametrize("examples", [pytest.param(DEEP, marks=pytest.mark.long)])
def test_a_person_at_the_door(library_mode: Installation, examples: int) -> None:
    union = httpx.get(f"{library_mode.url}/openapi.json", timeout=30).json()
    _holds(union, library_mode.url, strangers.person(library_mode), examples)


@pytest.mark.parametrize("examples", SIZES)
@pytest.mark.parametrize("role", ["staff", pytest.param("admin", marks=pytest.mark.long)])
def test_staff_at_the_door(library_mode: Installation, role: str, examples: int) -> None:
    union = httpx.get(f"{library_mode.url}/openapi.json", timeout=30).json()
    union["paths"] = {
        path: item for path, item in union["paths"].items() if "/admin/" in path or examples > 1
    }
    _holds(union, library_mode.url, strangers.person(library_mode, role), examples)


@pytest.mark.parametrize("examples", SIZES)
@pytest.mark.parametrize("name", ["auth", "conversation", "voice"])
def test_a_service_at_another(library_mode: Installation, name: str, examples: int) -> None:
    caller = strangers.service(library_mode, name, strangers.person(library_mode))
    internal = internal_of(name)
    assert internal["paths"]
    _holds(internal, library_mode.url_of(name), caller, examples)


def _holds(document: dict[str, Any], url: str, caller: strangers.Stranger, examples: int) -> None:
    wrong = [
        fault
        for operation in strangers.operations(document)
        for fault in strangers.faults(operation, url, caller, examples=examples)
    ]
    assert not wrong, "\n\n".join(wrong)
