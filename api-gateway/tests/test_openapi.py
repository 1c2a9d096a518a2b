"""The union of the services' documents."""

from pathlib import Path
from typing import Any

import pytest

from api_gateway import openapi


def document(path: str, name: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}
    operation = {"operationId": f"get{path}", "responses": {"200": answer}}
    return {"paths": {path: {"get": operation}}, "components": {"schemas": {name: schema} | more}}


PAGE = {"$ref": "#/components/schemas/Page"}
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def test_every_public_path_is_there_and_no_other() -> None:
    conversation = document("/api/v1/conversations", "Conversation", TEXT)
    for hidden in ("/internal/turns", "/health", "/docs", "/api/v1/auth/me"):
        conversation["paths"][hidden] = {"get": {"operationId": f"hidden{hidden}"}}
    merged = openapi.union(
        {"conversation": conversation, "auth": document("/api/v1/auth/me", "User", TEXT)}
    )
    assert merged["paths"].keys() == {
        "/health", "/ready", "/api/v1/conversations", "/api/v1/auth/me",
    }  # fmt: skip
    assert merged["paths"]["/api/v1/auth/me"]["get"]["operationId"] == "get/api/v1/auth/me"
    assert merged["components"]["schemas"] == {"Conversation": TEXT, "User": TEXT}


def test_the_same_schema_is_kept_once_and_two_of_one_name_both() -> None:
    merged = openapi.union({
        "auth": document("/api/v1/profile", "Page", TEXT, Problem=TEXT),
        "conversation": document("/api/v1/events", "Page", {"properties": {"next": PAGE}}),
    })  # fmt: skip
    schemas = merged["components"]["schemas"]
    assert schemas.keys() == {"Page", "ConversationPage"}  # nothing refers to Problem
    own = {"$ref": "#/components/schemas/ConversationPage"}
    assert schemas["ConversationPage"]["properties"]["next"] == own
    answer = merged["paths"]["/api/v1/events"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == own


def test_two_operations_of_one_name_are_a_clash() -> None:
    auth = document("/api/v1/profile", "A", TEXT)
    auth["paths"]["/api/v1/auth/me"] = auth["paths"]["/api/v1/profile"]
    with pytest.raises(openapi.Clash):
        openapi.union({"auth": auth})


def test_the_union_does_not_change_what_it_was_given() -> None:
    given = {"auth": document("/api/v1/profile", "A", TEXT)}
    before = str(given)
    assert openapi.union(given) == openapi.union(given)
    assert str(given) == before


def test_the_viewer_gets_what_it_can_draw() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Title"},
            "next": {"anyOf": [{"$ref": "#/x"}, {"type": "null"}]},
            "many": {"anyOf": [TEXT, NUMBER, {"type": "null"}]},
            "kind": {"const": "a", "examples": ["a", "b"]},
        },
    }
    drawn = openapi.for_viewer({"openapi": "3.1.0", "components": {"schemas": {"A": schema}}})
    properties = drawn["components"]["schemas"]["A"]["properties"]
    assert drawn["openapi"] == "3.0.3"
    assert properties["title"] == {"type": "string", "title": "Title", "nullable": True}
    assert properties["next"] == {"nullable": True, "allOf": [{"$ref": "#/x"}]}
    assert properties["many"] == {"nullable": True, "anyOf": [TEXT, NUMBER]}
    assert properties["kind"] == {"enum": ["a"], "example": "a"}


def test_a_kept_document_reads_back(tmp_path: Path) -> None:
    merged = openapi.union({"auth": document("/api/v1/profile", "A", TEXT)})
    openapi.write(merged, tmp_path / "openapi.json")
    assert openapi.load(tmp_path / "openapi.json") == merged
