"""The document of the whole public interface: the union of what the services say of theirs."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api_gateway import routes

Document = dict[str, Any]

FILE = Path(__file__).resolve().parent / "openapi.json"
"""Where the union is kept; inside the package, so that an installed copy has it too."""

_EMPTY: Document = {"title": "Medbot", "version": "0.1.0"}
_OWN_TAG = "gateway"


class Clash(Exception):
    """Two services describe one thing differently."""


def load(path: Path = FILE) -> Document:
    """The document that is kept."""
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def write(document: Document, path: Path = FILE) -> None:
    """Keeps a document, in an order that does not change by itself."""
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def union(documents: Mapping[str, Document]) -> Document:
    """Every public operation of `documents` (service name → its OpenAPI document) as one.

    Only what the gateway's table leads to that service is public. A schema that two services
    describe differently is kept once for each, the second under the name of its service.
    """
    merged: Document = {
        "openapi": "3.1.0",
        "info": {
            **_EMPTY,
            "description": "A medical assistant that people write to, speak to and phone.",
        },
        "paths": _own_paths(),
        "components": {},
    }
    for service, document in sorted(documents.items()):
        renamed = _with_own_names(merged["components"], service, document)
        for path, item in renamed.get("paths", {}).items():
            route = routes.TABLE.find(path)
            if route is not None and route.service == service:
                merged["paths"][path] = item
        _add_components(merged["components"], renamed.get("components", {}))
    _check_operation_ids(merged)
    return _without_unused(merged)


def for_viewer(document: Document) -> Document:
    """The document in OpenAPI 3.0, the newest that the bundled viewer draws."""
    drawn: Document = _as_3_0(copy.deepcopy(document))
    drawn["openapi"] = "3.0.3"
    return drawn


def _as_3_0(node: Any) -> Any:
    if isinstance(node, list):
        return [_as_3_0(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _as_3_0(value) for key, value in node.items()}
    choices = changed.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [choice for choice in choices if choice != {"type": "null"}]
        del changed["anyOf"]
        changed["nullable"] = True
        if len(rest) == 1 and "$ref" not in rest[0]:
            return {**rest[0], **changed}
        return {**changed, "allOf" if len(rest) == 1 else "anyOf": rest}
    if isinstance(changed.get("examples"), list):
        changed["example"] = next(iter(changed.pop("examples")), None)
    if "const" in changed:
        changed["enum"] = [changed.pop("const")]
    return changed


def _own_paths() -> dict[str, Any]:
    def page(summary: str, *codes: str) -> dict[str, Any]:
        answers = {
            code: {"description": "Ready" if code == "200" else "Not ready"} for code in codes
        }
        content = {"application/json": {"schema": {"type": "object"}}}
        for answer in answers.values():
            answer["content"] = content  # type: ignore[assignment]
        return {"get": {
            "tags": [_OWN_TAG], "summary": summary, "security": [], "responses": answers,
            "operationId": f"gateway_{summary.lower().replace(' ', '_')}",
        }}  # fmt: skip

    return {"/health": page("Health", "200"), "/ready": page("Ready", "200", "503")}


def _with_own_names(known: Document, service: str, document: Document) -> Document:
    """The document with every component renamed that is known with another content."""
    renamed = copy.deepcopy(document)
    references: dict[str, str] = {}
    for kind, parts in renamed.get("components", {}).items():
        for name in [name for name, part in parts.items() if _differs(known, kind, name, part)]:
            own = f"{service.capitalize()}{name}"
            parts[own] = parts.pop(name)
            references[f"#/components/{kind}/{name}"] = f"#/components/{kind}/{own}"
    _redirect(renamed, references)
    return renamed


def _differs(known: Document, kind: str, name: str, part: Any) -> bool:
    return bool(known.get(kind, {}).get(name, part) != part)


def _redirect(node: Any, references: Mapping[str, str]) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str):
                node[key] = references.get(value, value)
            else:
                _redirect(value, references)
    elif isinstance(node, list):
        for item in node:
            _redirect(item, references)


def _add_components(known: Document, more: Document) -> None:
    for kind, parts in more.items():
        for name, part in parts.items():
            if known.setdefault(kind, {}).setdefault(name, part) != part:
                raise Clash(f"{kind}/{name}")


def _check_operation_ids(document: Document) -> None:
    seen: set[str] = set()
    for path, item in document["paths"].items():
        for operation in item.values():
            name = operation.get("operationId") if isinstance(operation, dict) else None
            if name in seen:
                raise Clash(f"operationId {name} at {path}")
            if name is not None:
                seen.add(name)


def _without_unused(document: Document) -> Document:
    """Drops schemas that nothing public refers to any more."""
    schemas = document["components"].get("schemas", {})
    while True:
        text = json.dumps({"paths": document["paths"], "components": document["components"]})
        unused = [name for name in schemas if f'"#/components/schemas/{name}"' not in text]
        if not unused:
            return document
        for name in unused:
            del schemas[name]
