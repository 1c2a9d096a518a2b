"""Sessions as their owner sees them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class OpenSession(BaseModel):
    """One place where the caller is signed in."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    created_at: datetime
    used_at: datetime = Field(description="when it was last refreshed")
    network: str | None = Field(examples=["203.0.113.0/24"], description="roughly from where")
    program: str | None = Field(examples=["Firefox on Linux"])
    current: bool = Field(description="whether this is the session of the call itself")
