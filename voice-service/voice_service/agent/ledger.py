"""The turns of a session on their way to the voice service: in order of speech, each once."""

import asyncio
import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from contracts.voice import MAX_SPOKEN, Latency, SpokenTurn
from voice_service.agent.ports import Link

Told = Callable[[SpokenTurn], None]


@dataclass(slots=True)
class Said:
    """What one side says; it is settled when it is over, with no text when nothing was said."""

    role: Literal["user", "assistant"]
    started_at: datetime
    text: str = ""
    ended_at: datetime | None = None
    interrupted: bool = False
    latency: Latency = field(default_factory=Latency)
    citations: list[dict[str, object]] = field(default_factory=list)
    triage: dict[str, object] | None = None
    usage: list[dict[str, object]] = field(default_factory=list)

    def as_turn(self, seq: int) -> SpokenTurn:
        """The turn as it is kept."""
        return SpokenTurn(
            seq=seq,
            role=self.role,
            text=self.text[:MAX_SPOKEN],
            interrupted=self.interrupted,
            started_at=self.started_at,
            ended_at=max(self.started_at, self.ended_at or self.started_at),
            latency=self.latency,
            citations=tuple(self.citations[:50]),
            triage=self.triage,
            usage=tuple(self.usage[:50]),
        )


class Ledger:
    """Numbers turns by when they began. One that began earlier and is not over holds back others.

    `told` hears of each turn when it got its number, before it is recorded.
    """

    def __init__(self, link: Link, *, next_seq: int, told: Told) -> None:
        self._link, self._seq, self._told = link, next_seq, told
        self._open: list[Said] = []
        self._recording: asyncio.Queue[SpokenTurn | None] = asyncio.Queue()
        self.recorded = 0

    def begin(self, said: Said) -> Said:
        """Gives it its place."""
        bisect.insort(self._open, said, key=lambda each: each.started_at)
        return said

    def settle(self, said: Said, ended_at: datetime) -> None:
        """It is over; without text it is dropped."""
        said.ended_at = ended_at
        while self._open and self._open[0].ended_at is not None:
            first = self._open.pop(0)
            if first.text.strip():
                turn = first.as_turn(self._seq)
                self._seq += 1
                self._told(turn)
                self._recording.put_nowait(turn)

    def close(self, now: datetime) -> None:
        """Settles what is open; `run` returns when all is recorded."""
        for said in list(self._open):
            self.settle(said, said.ended_at or now)
        self._recording.put_nowait(None)

    async def run(self) -> None:
        """Records turns one by one, in order."""
        while (turn := await self._recording.get()) is not None:
            await self._link.record(turn)
            self.recorded += 1
