"""Writes replies: what the assistant says is committed part by part, whether anybody reads or not.

The assistant speaks into a buffer; the writer commits what has gathered, at most every `PACE`,
and folds everything into the message at the end. Whoever holds the lease may write; who finds it
lost stops, since another instance has marked the reply.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TypeVar
from uuid import UUID

import asyncpg

from assistant import reply
from assistant.reply import Assistant
from assistant.turns import Citation, Piece, Text, ToolUse, Usage
from conversation_service.replies import store
from conversation_service.replies.models import Begun, Ending, Part
from conversation_service.usage.budget import Budget
from kit import logs
from kit.database import CONNECTION_ERRORS, Database, Tx
from kit.errors import ServiceUnavailable
from kit.identity import Actor
from kit.signals import Signals
from telemetry import Span, catalogue

PACE = 0.02
"""Seconds between two commits of one reply."""

WRITER = Actor.of_service("conversation")
"""Whoever asked may be another by the time the reply ends: a guest who has signed in."""

_PASSING = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

_log = logs.get(__name__)
_T = TypeVar("_T")


@dataclass(slots=True)
class _Draft:
    """What was said and is not committed yet, and what is known of the whole."""

    start: int = 0
    seq: int = 0
    said: list[Piece] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    first_text: float | None = None
    ending: Ending | None = None

    def take(self) -> Part:
        """Everything gathered as the next part."""
        pieces, self.said = self.said, []
        text = "".join(piece.text for piece in pieces if isinstance(piece, Text))
        part = Part(
            self.seq,
            self.start,
            text,
            store.citation_rows([p for p in pieces if isinstance(p, Citation)]),
            [asdict(p) for p in pieces if isinstance(p, ToolUse)],
        )
        self.seq += 1
        self.start += len(text)
        return part

    def add(self, piece: Piece) -> None:
        if isinstance(piece, Usage):
            self.usage.append(piece)
            return
        if isinstance(piece, Text) and self.first_text is None:
            self.first_text = time.perf_counter()
        self.said.append(piece)


class Runner:
    """The running replies of this instance; after `longest` seconds each is broken off."""

    def __init__(
        self,
        db: Database,
        signals: Signals,
        assistant: Assistant,
        budget: Budget,
        *,
        lease: float,
        longest: float,
        drain_within: float,
    ) -> None:
        self._db = db
        self._signals = signals
        self._assistant = assistant
        self._budget = budget
        self.lease = lease
        self._longest = longest
        self._drain_within = drain_within
        self._running: set[asyncio.Task[None]] = set()
        self._drafts: dict[UUID, _Draft] = {}

    def start(self, begun: Begun) -> None:
        """Writes the reply from now on, in the background."""
        task = asyncio.create_task(self._write_traced(begun))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def drain(self) -> None:
        """Lets running replies end, for a while; what is cut then ends with its lease."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._drain_within)
        for message_id, draft in self._drafts.items():  # what is cut says so at once
            draft.ending = "failed"
            self._signals.wake(f"work:{message_id}")
        if self._running:
            await asyncio.wait(self._running, timeout=1)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _write_traced(self, begun: Begun) -> None:
        with Span("reply", attributes={"medbot.triage.level": begun.level}):
            await self._write(begun)

    async def _write(self, begun: Begun) -> None:
        draft = self._drafts[begun.message_id] = _Draft()
        work = f"work:{begun.message_id}"
        with self._signals.on(work, store.stopped(begun.message_id)) as woken:
            speaking = asyncio.create_task(self._speak(begun, draft, work))
            try:
                while draft.ending is None:
                    await woken(self.lease / 3)
                    if draft.ending is None and not await self._commit(begun, draft):
                        draft.ending = "interrupted"
                await self._finish(begun, draft)
            except _LeaseLost:
                _log.warning("reply.lease_lost", message_id=str(begun.message_id))
            except (
                Exception
            ) as error:  # a bug of ours; the reply must not hang until its lease ends
                _log.error("reply.broken", **logs.failure(error))
                await self._give_up(begun, draft)
            finally:
                del self._drafts[begun.message_id]
                speaking.cancel()
                with suppress(asyncio.CancelledError):
                    await speaking

    async def _speak(self, begun: Begun, draft: _Draft, work: str) -> None:
        """Gathers what the assistant says; its end, good or bad, is an ending of the draft."""
        ending: Ending = "failed"
        try:
            async with asyncio.timeout(self._longest):
                async for piece in self._assistant.reply(
                    begun.question,
                    begun.history,
                    level=begun.level,
                    earlier=begun.earlier,
                    limited=begun.room.reached is not None,
                ):
                    draft.add(piece)
                    self._signals.wake(work)
            ending = "complete"
        except (reply.ReplyFailed, TimeoutError) as error:
            _log.warning("reply.failed", **logs.failure(error))
        except Exception as error:  # whatever it was, the reply must get an ending
            _log.error("reply.failed", **logs.failure(error))
        draft.ending = draft.ending or ending
        self._signals.wake(work)

    async def _commit(self, begun: Begun, draft: _Draft) -> bool:
        """Commits what has gathered; whether the reply should go on."""
        started = time.perf_counter()
        part = draft.take() if draft.said else None

        async def append(tx: Tx) -> bool | None:
            return await store.append(tx, begun.message_id, part, self.lease)

        stop = await self._insist(append)
        if stop is None:
            raise _LeaseLost
        self._signals.nudge(store.grown(begun.message_id))
        if not stop and part is not None:
            await asyncio.sleep(max(0.0, PACE - (time.perf_counter() - started)))
        return not stop

    async def _finish(self, begun: Begun, draft: _Draft) -> None:
        """Folds the reply into its message. A stopped one keeps what was committed, no more."""
        if draft.ending == "interrupted":
            draft.said.clear()
        last = draft.take()
        assert draft.ending is not None
        ending: Ending = draft.ending

        async def finish(tx: Tx) -> bool:
            owner = await store.finish(
                tx,
                begun.conversation_id,
                begun.message_id,
                ending,
                last,
                _latency(begun, draft),
                [asdict(use) for use in draft.usage],
            )
            if owner is None:
                return False
            whole = ending == "complete" or begun.room.reached is not None
            await self._budget.settle(tx, begun.room, owner, draft.usage, whole=whole)
            return True

        if not await self._insist(finish):
            raise _LeaseLost
        _show(begun, draft, ending)
        self._signals.nudge(store.grown(begun.message_id))

    async def _give_up(self, begun: Begun, draft: _Draft) -> None:
        """Ends a reply as failed, with what was committed."""
        draft.said.clear()
        draft.ending = "failed"
        try:
            await self._finish(begun, draft)
        except Exception as error:  # its lease will end it
            _log.error("reply.left_to_its_lease", **logs.failure(error))

    async def _insist(self, step: Callable[[Tx], Awaitable[_T]]) -> _T:
        """Runs a step in a transaction, again and again while the database is away.

        A step whose first commit got through unseen finds its row changed already, and says so.
        """
        deadline = time.monotonic() + 2 * self.lease
        while True:
            try:
                async with self._db.transaction(WRITER) as tx:
                    return await step(tx)
            except (*CONNECTION_ERRORS, *_PASSING, ServiceUnavailable) as error:
                if time.monotonic() > deadline:
                    raise _LeaseLost from error
                _log.warning("reply.waiting", **logs.failure(error))
                await asyncio.sleep(0.2)


class _LeaseLost(Exception):
    """The reply belongs to nobody or to another; nothing more may be written."""


def _show(begun: Begun, draft: _Draft, ending: Ending) -> None:
    """Counts a reply that has ended, and how long its stages took."""
    catalogue.REPLIES.add(ending)
    seconds = {"gate": begun.gate_ms / 1000, "whole": time.perf_counter() - begun.started}
    if draft.usage:
        seconds["first_token"] = draft.usage[0].first_token_ms / 1000
    if draft.first_text is not None:
        seconds["first_text"] = draft.first_text - begun.started
    for stage, took in seconds.items():
        catalogue.REPLY_STAGE_SECONDS.observe(took, stage)


def _latency(begun: Begun, draft: _Draft) -> dict[str, float | None]:
    first = draft.first_text
    return {
        "gate_ms": round(begun.gate_ms, 2),
        "first_text_ms": None if first is None else round((first - begun.started) * 1000, 1),
        "total_ms": round((time.perf_counter() - begun.started) * 1000, 1),
    }
