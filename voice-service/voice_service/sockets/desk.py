"""What the sockets need of the rest of the voice service."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from contracts.voice import AgentState, EndReason, Plan
from kit.identity import Actor
from voice_service.agent.ports import Audience, Running, Transport
from voice_service.sessions.models import Status


@dataclass(frozen=True, slots=True)
class Found:
    """How a session is that may run elsewhere, such as in a room."""

    status: Status
    agent_state: AgentState


class Desk(Protocol):
    """Lets callers in and makes their sessions run."""

    async def admit(self, tokens: Collection[str], *, guests: bool) -> Actor:
        """The person of the one token; a new guest without any, if `guests` may come here.

        Raises:
            InvalidToken: it does not hold, there are several, or none where one is needed.
            Forbidden: guests may not come.
        """

    async def still_in(self, caller: Actor) -> bool:
        """Whether the caller has not signed out."""

    async def open(self, caller: Actor, conversation_id: UUID | None, locale: str) -> Plan:
        """A new session of channel `websocket`, in a conversation of the caller or a new one.

        Raises:
            NotFound: the conversation is not the caller's.
            TooManySessions: the caller has as many as one may.
            AllBusy: no more calls can be carried.
        """

    async def find(self, caller: Actor, session_id: UUID) -> Found:
        """How a session is.

        Raises:
            NotFound: it is not the caller's.
            SessionOver: it has ended.
        """

    async def changed(self, caller: Actor, session_id: UUID, known: Found) -> Found:
        """How a session is, over or not, as soon as that is otherwise than `known`.

        Raises:
            NotFound: it is no more.
        """

    async def join(self, caller: Actor, session_id: UUID) -> Plan:
        """The plan of a session that is about to run here.

        Raises:
            NotFound: it is not the caller's.
            SessionOver: it has ended.
            SessionTaken: it runs elsewhere.
            AllBusy: no more calls can be carried.
        """

    async def attended(self, session_id: UUID, *, there: bool) -> None:
        """Whether a session that runs here has a socket; whatever fails, it is said again later."""

    async def end(self, caller: Actor, session_id: UUID, reason: EndReason) -> None:
        """Ends a session that does not run here."""

    def run(self, plan: Plan, transport: Transport, show: Audience) -> Running:
        """The session, ready to be started."""
