"""The documents of interfaces that are checked in: OpenAPI, and schemas of the sockets' messages.

OpenAPI is one document a service, and their union at the gateway.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from api_gateway import openapi
from kit import settings
from medbot.services import IN_ORDER
from voice_service.sockets import messages


def generate() -> Mapping[Path, str]:
    """The text of each document by where it is kept."""
    documents = {name: app.openapi() for name, app in _applications()}
    made = {_kept(name): _text(document) for name, document in documents.items()}
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / openapi.FILE.name
        openapi.write(openapi.union(documents), draft)
        made[openapi.FILE] = draft.read_text(encoding="utf-8")
    return {**made, **_schemas()}


def _schemas() -> Mapping[Path, str]:
    """What each side of a voice socket may send."""
    folder = settings.home() / "docs" / "schemas"
    return {
        folder / f"{name}.json": _text(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                **model.json_schema(
                    mode="serialization" if name.endswith("server") else "validation"
                ),
            }
        )
        for name, model in messages.SCHEMAS.items()
    }


def _applications() -> Iterator[tuple[str, FastAPI]]:
    for service in IN_ORDER:
        app = service.build(None)
        if isinstance(app, FastAPI):
            yield service.name, app


def _kept(name: str) -> Path:
    folder = next(service.folder for service in IN_ORDER if service.name == name)
    return settings.home() / folder / "openapi.json"


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
