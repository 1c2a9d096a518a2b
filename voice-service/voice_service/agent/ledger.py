"""The turns of a session on their way to the voice service: in the order in which they were shown,
each once."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import structlog

from assistant.turns import Turn
from contracts.voice import MAX_SPOKEN, Latency, SpokenTurn
from voice_service.agent.ports import Link

AGAIN_AFTER = 1.0
"""Seconds after which a turn is recorded again that its link failed with."""

Told = Callable[[SpokenTurn], None]
_log = structlog.stdlib.get_logger(__name__)


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
    seq: int | None = None
    """Its number, once some of it was recorded."""
    kept: str = ""
    """What was recorded of it."""
    shown: str = ""
    """The words of it that a room was shown."""

    def as_turn(self, seq: int, *, now: datetime | None = None) -> SpokenTurn:
        """The turn as it is kept; with `now` it is not over."""
        return SpokenTurn(
            seq=seq,
            open=now is not None,
            role=self.role,
            text=(self.text.strip() or self.kept)[:MAX_SPOKEN],
            interrupted=self.interrupted,
            started_at=self.started_at,
            ended_at=max(self.started_at, self.ended_at or now or self.started_at),
            latency=self.latency,
            citations=tuple(self.citations[:50]),
            triage=self.triage,
            usage=tuple(self.usage[:50]),
        )


class Ledger:
    """Numbers turns by when they were first shown or heard, which is when they `begin` here: what
    people saw and what is kept are in one order. One that is not over holds back those behind it.

    `told` hears of each turn when it is over, before it is recorded. What was said so far of those
    that are not is recorded by `keep`, so that it outlives this process.
    """

    def __init__(self, link: Link, *, next_seq: int, told: Told) -> None:
        self._link, self._seq, self._told = link, next_seq, told
        self._open: list[Said] = []
        self._recording: asyncio.Queue[SpokenTurn | None] = asyncio.Queue()
        self._newest: dict[int, SpokenTurn] = {}
        self.recorded = 0

    def begin(self, said: Said) -> Said:
        """Gives it its place, behind all others."""
        self._open.append(said)
        return said

    def held_back(self) -> list[Turn]:
        """What the caller said that is over, and has no number yet."""
        over = (said for said in self._open if said.role == "user" and said.ended_at is not None)
        return [Turn("user", said.text) for said in over]

    def keep(self, now: datetime) -> None:
        """Records what was said so far of turns that are not over."""
        for said in self._open:
            if not said.text.strip():
                return
            if said.text.strip() != said.kept:
                said.kept = said.text.strip()
                self._record(said.as_turn(self._number(said), now=now))

    def settle(self, said: Said, ended_at: datetime) -> None:
        """It is over; without text it is dropped."""
        said.ended_at = ended_at
        while self._open and self._open[0].ended_at is not None:
            first = self._open.pop(0)
            if first.text.strip() or first.kept:
                turn = first.as_turn(self._number(first))
                self._told(turn)
                self._record(turn)

    def close(self, now: datetime) -> None:
        """Settles what is open; `run` returns when all is recorded."""
        for said in list(self._open):
            self.settle(said, said.ended_at or now)
        self._recording.put_nowait(None)

    async def run(self) -> None:
        """Records turns one by one, in order, each until it is."""
        while (turn := await self._recording.get()) is not None:
            done = False
            while not done and self._newest[turn.seq] is turn:  # else more is known, and comes
                done = await self._recorded(turn)
            self.recorded += done and not turn.open

    async def _recorded(self, turn: SpokenTurn) -> bool:
        """Whether it was; where it was not, the next attempt may come."""
        try:
            await self._link.record(turn)
        except Exception as error:  # the turns behind it are not lost with it
            _log.error("turn.failed", seq=turn.seq, error_type=type(error).__name__)
            await asyncio.sleep(AGAIN_AFTER)
            return False
        return True

    def _number(self, said: Said) -> int:
        if said.seq is None:
            said.seq = self._seq
            self._seq += 1
        return said.seq

    def _record(self, turn: SpokenTurn) -> None:
        self._newest[turn.seq] = turn
        self._recording.put_nowait(turn)
