"""Conversations as they come and go over HTTP."""

from datetime import datetime
from typing import Annotated, NewType
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from kit.text import Storable

ConversationId = NewType("ConversationId", UUID)

Title = Annotated[Storable, StringConstraints(strip_whitespace=True, max_length=200)]


class Match(BaseModel):
    """A message that a search found.

    `snippet` is HTML: the words found stand in `<mark>`, everything else is escaped.
    """

    message_id: UUID
    snippet: str


class Conversation(BaseModel):
    """A conversation, without its messages."""

    id: UUID
    title: str
    pinned: bool
    created_at: datetime
    updated_at: datetime


class FoundConversation(Conversation):
    """A conversation in a list; `matches` is there when the list is a search."""

    matches: list[Match] | None = None


class CreateConversation(BaseModel):
    """A new conversation; its title may come later."""

    model_config = ConfigDict(extra="forbid")

    title: Title = ""


class ChangeConversation(BaseModel):
    """What is given is changed."""

    model_config = ConfigDict(extra="forbid")

    title: Title | None = Field(default=None)
    pinned: bool | None = Field(default=None)
