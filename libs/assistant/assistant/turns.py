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
