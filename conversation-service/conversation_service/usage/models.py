"""Usage as who runs the installation sees it."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

By = Literal["day", "person", "model", "service"]
Cap = Literal["person", "address", "installation"]


class Used(BaseModel):
    """A sum; `name` is the day, the id of a person (null without one), the model or the service."""

    model_config = ConfigDict(frozen=True)

    name: str | None
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float


class Caps(BaseModel):
    """The caps in US dollars a day."""

    model_config = ConfigDict(frozen=True)

    person_day_usd: float | None
    guest_day_usd: float | None
    address_day_usd: float | None
    day_usd: float | None


class Report(BaseModel):
    """What models took from the day `first` to the day `last`, both in UTC and included."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    by: By
    items: list[Used]
    total_usd: float
    caps: Caps
