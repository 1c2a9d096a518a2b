"""What a service that keeps rows of people owes them: to hand them out, and to erase them.

Each holder serves `GET /internal/people/{person_id}/export` to the auth service, whose token names
the person: lines of JSON, one `Row` each, and last one `Whole`. Each consumes `UserErased`, erases
in one transaction with its inbox row, and emits its own event of `HOLDERS` there.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from contracts.events import HOLDERS

__all__ = ["HOLDERS", "Row", "Whole"]


class Row(BaseModel):
    """A row of a section; the rows of one section follow each other."""

    model_config = ConfigDict(frozen=True)

    section: str
    row: dict[str, Any]


class Whole(BaseModel):
    """The last line: without it the answer was cut."""

    model_config = ConfigDict(frozen=True)

    rows: int
