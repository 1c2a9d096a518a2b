"""An erasure: that it was asked for, how far it is, and the receipt when it is done."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

State = Literal["pending", "erased"]


class Requested(BaseModel):
    """What to keep: whoever knows the id may follow the erasure, without signing in."""

    erasure_id: UUID


class Part(BaseModel):
    """One service's share."""

    model_config = ConfigDict(frozen=True)

    service: str
    state: State
    erased_at: datetime | None


class Erasure(BaseModel):
    """How far an erasure is; `receipt` is a JWS that the keys of the installation verify."""

    model_config = ConfigDict(frozen=True)

    erasure_id: UUID
    status: Literal["pending", "complete"]
    requested_at: datetime
    completed_at: datetime | None
    services: list[Part]
    receipt: str | None = Field(description="Compact JWS, once every service has erased.")
