"""What a request that cannot be read is told."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import AfterValidator, BaseModel

from serving import problems


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("must be even")
    return number


NOT_BOOLEAN = "Input should be a valid boolean, unable to interpret input"


class Wanted(BaseModel):
    """A body with a rule of its own."""

    count: Annotated[int, AfterValidator(_even)]
    answers: dict[str, bool] = {}
    parts: list["Wanted"] = []


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ('{"count": 3}', [{"field": "count", "message": "must be even"}]),
        ('{"count": ', [{"field": "body", "message": "json invalid"}]),
        ("{}", [{"field": "count", "message": "Field required"}]),
        ("", [{"field": "body", "message": "Field required"}]),
        (
            '{"count": 2, "answers": {"my diagnosis": "perhaps"}}',
            [
                {
                    "field": "answers",
                    "message": NOT_BOOLEAN,
                }
            ],
        ),
        (
            '{"count": 2, "parts": [{"count": 2}, {"count": 5}]}',
            [{"field": "parts.1.count", "message": "must be even"}],
        ),
    ],
)
async def test_a_fault_names_its_field_in_plain_words(
    body: str, errors: list[dict[str, Any]]
) -> None:
    app = FastAPI()
    problems.install(app)

    @app.post("/count")
    async def count(wanted: Wanted) -> int:
        return wanted.count

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.post(
            "/count", content=body, headers={"content-type": "application/json"}
        )
    assert answer.status_code == 422
    assert answer.json()["code"] == "request.invalid"
    assert answer.json()["errors"] == errors
