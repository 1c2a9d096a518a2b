"""What people think of a reply, as it comes in."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

from kit.errors import DomainError, Kind
from kit.text import Storable

Comment = Annotated[
    Storable, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)
]


class GiveFeedback(BaseModel):
    """A thumb, and why; given again it replaces what was given before."""

    model_config = ConfigDict(extra="forbid")

    rating: Literal["up", "down"]
    comment: Comment | None = None


class NotAReply(DomainError):
    """Only a reply that has ended can be rated."""

    kind = Kind.CONFLICT
    code = "conversation.not_a_reply"
