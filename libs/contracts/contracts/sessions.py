"""What auth tells every verifier of tokens about sessions that ended."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict


class EndedSessions(BaseModel):
    """Sessions that ended after a cursor, oldest first.

    `cursor` is what to ask after next; `more` says that another page waits already.
    """

    model_config = ConfigDict(frozen=True)

    session_ids: tuple[UUID, ...]
    cursor: int
    more: bool = False
