"""Requests that carry one word wherever a request can carry one, made from OpenAPI documents."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]
METHODS = ("get", "put", "post", "patch", "delete")
OVERLONG = 40_000
"""Times that the word is repeated where a field is too long."""


@dataclass(frozen=True)
class Operation:
    """One call of an interface, with everything it refers to resolved."""

    method: str
    path: str
    parameters: tuple[Mapping[str, Any], ...]
    body: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def named(self, place: str) -> list[str]:
        """The names of its parameters in `path`, `query` or `header`."""
        return [each["name"] for each in self.parameters if each["in"] == place]


@dataclass(frozen=True)
class Shot:
    """A request; `why` says where the word is in it."""

    why: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


def operations(document: Document) -> Iterator[Operation]:
    """Every call that a document names."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                found = item[method]
                content = found.get("requestBody", {}).get("content", {})
                schema = content.get("application/json", {}).get("schema")
                yield Operation(
                    method.upper(),
                    path,
                    tuple(found.get("parameters", ())),
                    _resolved(document, schema) if schema is not None else None,
                )


def _resolved(document: Document, node: Any, depth: int = 0) -> Any:
    if isinstance(node, list):
        return [_resolved(document, each, depth) for each in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _resolved(document, target, depth + 1) if depth < 8 else {}
    return {key: _resolved(document, value, depth) for key, value in node.items()}


def shots(operation: Operation, word: str, known: Mapping[str, str]) -> Iterator[Shot]:
    """Requests to one call. `known` gives path parameters that lead somewhere, by name."""
    path = _filled(operation, {**dict.fromkeys(operation.named("path"), word), **known})
    yield from _bodies(operation, word, path)
    query = dict.fromkeys(operation.named("query"), word)
    fit = {"content-type": "application/json"} if operation.body is not None else {}
    good = json.dumps(_fitting(operation.body, word)).encode() if operation.body else None
    yield Shot("query", operation.method, path, {**query, "more": word, word: "1"}, fit, good)
    for name in operation.named("path"):
        wrong = _filled(
            operation, {**dict.fromkeys(operation.named("path"), word), **known, name: word}
        )
        yield Shot(f"path {name}", operation.method, wrong, {}, fit, good)
    yield Shot("below", operation.method, f"{path}/{word}", {}, fit, good)
    for headers in _headers(operation, word):
        yield Shot("header", operation.method, path, {}, {**fit, **headers}, good)


def _filled(operation: Operation, values: Mapping[str, str]) -> str:
    path = operation.path
    for name in operation.named("path"):
        path = path.replace("{" + name + "}", values[name])
    return path


def _headers(operation: Operation, word: str) -> Iterator[dict[str, str]]:
    yield dict.fromkeys(operation.named("header"), word)
    yield {
        "x-request-id": f"{word} of the left earlobe",
        "traceparent": word,
        "tracestate": f"a={word}",
        "baggage": f"diagnosis={word}",
        "user-agent": word,
        "referer": f"http://example.org/?q={word}",
        "origin": f"http://{word}.example",
        "cookie": f"diagnosis={word}",
        "accept-language": word,
        "x-diagnosis": word,
        f"x-{word}": "1",
    }
    yield {"accept": f"text/{word}"}
    yield {"content-type": f"application/{word}"}


def _bodies(operation: Operation, word: str, path: str) -> Iterator[Shot]:
    if operation.body is None:
        return
    made = {"content-type": "application/json"}
    whole = [_fitting(operation.body, word), word, [word], {word: word}, {"more": {word: [word]}}]
    for content in [*whole, *_faulty(operation.body, word)]:
        yield Shot("body", operation.method, path, {}, made, json.dumps(content).encode())
    for raw in (
        f'{{"content": "{word}',
        f'{{"content": "{word}", "content": {word}}}',
        f"{word}",
        f'{{"content": "{word}\\ud800", "title": "{word}\\u0000", "password": "{word}\\ud800"}}',
    ):
        yield Shot("malformed", operation.method, path, {}, made, raw.encode())
    yield Shot(
        "not UTF-8", operation.method, path, {}, made, b'{"content": "' + word.encode() + b'\xff"}'
    )
    form = {"content-type": "application/x-www-form-urlencoded"}
    yield Shot("form", operation.method, path, {}, form, f"content={word}".encode())
    huge = json.dumps({"content": word * (1_200_000 // len(word))}).encode()
    yield Shot("too large", operation.method, path, {}, made, huge)


def _faulty(schema: Mapping[str, Any], word: str) -> Iterator[Any]:
    """Bodies that fit but for one field, which is of a wrong type, or too long, or names more."""
    fitting = _fitting(schema, word)
    if not isinstance(fitting, dict):
        return
    for name in schema.get("properties", {}):
        for wrong in (word, [word], {word: word}, [{word: {word: word}}], word * OVERLONG):
            yield {**fitting, name: wrong}
    yield {**fitting, word: word}


def _fitting(schema: Mapping[str, Any], word: str) -> Any:
    """A value of a schema, with the word wherever a text may stand."""
    for key in ("anyOf", "oneOf", "allOf"):
        if choices := [each for each in schema.get(key, ()) if each.get("type") != "null"]:
            return _fitting(choices[0], word)
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    match schema.get("type"):
        case "object":
            return {
                name: _fitting(each, word) for name, each in schema.get("properties", {}).items()
            }
        case "array":
            return [_fitting(schema.get("items", {}), word)]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return _text(schema, word)


def _text(schema: Mapping[str, Any], word: str) -> str:
    if examples := schema.get("examples"):
        return str(examples[0])
    return {"uuid": "7f1d2c9a-3f39-4c1c-9a55-2d1d0a5f6a01", "date": "1984-02-29"}.get(
        schema.get("format", ""), f"{word} of the left earlobe"
    )
