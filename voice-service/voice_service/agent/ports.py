"""What a running voice session needs from outside, and what it shows to whoever carries it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from livekit import rtc
from livekit.agents.voice import io

from contracts.voice import AgentState, Changes, EndReason, Heartbeat, SpokenTurn


class SessionLost(Exception):
    """The voice service says that the session is over, or that another job runs it."""


class SessionGone(SessionLost):
    """There is no such session any more."""


class Link(Protocol):
    """The voice service, as a running session sees it.

    `beat` and `changes` may raise: `SessionLost`, or a `DomainError` of kind `CONFLICT` or
    `NOT_FOUND`, ends the session; anything else is tried again.
    """

    async def record(self, turn: SpokenTurn) -> None:
        """Returns when the turn is durable; retries by itself, and a second time is no harm."""

    async def beat(self, beat: Heartbeat) -> None:
        """Tells how the session is. May be lost: the next one says it again."""

    async def changes(self, cursor: str) -> Changes:
        """What is new since `cursor`; returns after at most 25 s, possibly with nothing."""


@dataclass(slots=True)
class Transport:
    """What carries the sound: a room, or the two ends of a socket.

    With a `room` the session makes its own ends. Without one `audio_in` and `audio_out` are
    given: frames in are 16-bit PCM of one rate; `audio_out` paces, pauses and clears, and reports
    the words that were heard when it is cut; `text_out` receives the agent's words, some with the
    second of their sound.
    """

    room: rtc.Room | None = None
    audio_in: io.AudioInput | None = None
    audio_out: io.AudioOutput | None = None
    text_out: io.TextOutput | None = None
    heard: Callable[[], str] = str
    """The words that were heard so far of what `audio_out` is playing."""
    attended: Callable[[], bool] = lambda: True
    """Whether the socket is there."""
    records_within: float = 600.0
    """Seconds after the end for which whoever takes no turns is waited for."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What one side has said of its turn so far; `text` is all of it, not what was added.

    The agent's text is what was played. A final one carries the turn's `seq`.
    """

    role: Literal["user", "assistant"]
    text: str
    final: bool
    at: datetime
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The agent listens, thinks, speaks."""

    state: AgentState


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over; every turn is recorded."""

    reason: EndReason


Shown = Transcript | StateChanged | Closed
Audience = Callable[[Shown], None]
"""Called in the session's event loop, in order; must not block."""


class Running(Protocol):
    """A session as its carrier sees it: `agent.supervisor.Supervisor`.

    Made by `Supervisor(plan, link, transport, resources, show=…)` with
    `resources` from `async with agent.resources.open_resources(settings)`, once a process.
    """

    async def start(self) -> None:
        """Greets where the conversation was not greeted, and listens."""

    async def say_typed(self, text: str) -> bool:
        """A message that the caller typed instead of speaking; it is answered aloud in its turn,
        which is not waited for. False where too many wait: it is not taken."""

    async def end(self, reason: EndReason) -> None:
        """Ends the session; returns when every turn is recorded. A second time is no harm."""

    async def closed(self) -> EndReason:
        """Waits for the end, whoever asked for it."""
