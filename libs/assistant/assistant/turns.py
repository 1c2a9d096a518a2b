"""What passes between the assistant and whoever hosts it: turns in, citations out."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Turn:
    """One finished utterance of a conversation, oldest first in any sequence of them."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A retrieved passage that a marker such as `[1]` in an answer names.

    `marker` counts from 1 within one answer; `passage` is the quoted text as it stands in the
    document; `score` is the fused retrieval score, 0 to 1.
    """

    marker: int
    document_id: str
    title: str
    source: str
    url: str
    passage: str
    score: float


@dataclass(frozen=True, slots=True)
class Text:
    """The next stretch of an answer; the stretches joined are the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool starts or ends; its arguments stay inside, they may hold a patient's words."""

    name: str
    status: Literal["started", "finished", "failed"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call to a model took, in tokens; `first_token_ms` from request to first token."""

    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    first_token_ms: int


Piece = Text | Citation | ToolUse | Usage
"""What a reply is made of, in order; a citation comes before the text that first uses it."""
