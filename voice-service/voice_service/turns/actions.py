"""Turns as they come from whoever runs a session, and what that one should know meanwhile."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from contracts.events import VoiceTurnRecorded
from contracts.voice import (
    MOST,
    AskHistory,
    Changes,
    Earlier,
    RecordedTurns,
    SpokenTurn,
    VoiceSettings,
)
from kit import outbox
from kit.database import Database, Tx
from kit.errors import NotFound
from kit.signals import POLL, Signals
from voice_service.sessions import actions as sessions
from voice_service.sessions import store as session_rows
from voice_service.sessions.actions import ITSELF, SOURCE, Sessions
from voice_service.sessions.models import Row, SessionOver
from voice_service.turns import counting, store
from voice_service.turns.models import OutOfOrder, TurnDiffers
from voice_service.usage.budget import Budget

LATE_WITHIN = 900.0
"""Seconds after its end in which a session's turns are still taken: its worker may have been cut
off from here, or killed while the last one was on its way."""

PAGE = 100

WAIT_WITHIN = 25.0
"""Seconds that a question for changes may stay open."""

LOOK_EVERY = 5.0
"""Seconds between two looks where notifications arrive."""

MESSAGES = 50


async def record(db: Database, budget: Budget, session_id: UUID, turn: SpokenTurn) -> bool:
    """Stores a turn and, once it is over, its event and what it cost, once; whether it was now.

    A turn is only taken when the one before it was: order never hangs on the network. One that is
    open is rewritten until it is over; from then on the same again changes nothing.

    Raises:
        NotFound: there is no such session, or its conversation was deleted.
        SessionOver: it ended long ago.
        OutOfOrder, TurnDiffers
    """
    turn = turn.model_copy(update={"text": turn.text.replace("\0", " ")})
    async with db.transaction(ITSELF) as tx:
        row = await sessions.require(tx, session_id, lock=True)
        if turn.seq <= row.last_seq:
            new = await _rewritten(tx, session_id, turn)
            return new and await _tell(tx, budget, row, turn)
        if turn.seq > row.last_seq + 1:
            raise OutOfOrder
        if row.over and await store.late(tx, session_id, LATE_WITHIN):
            raise SessionOver
        await store.insert(tx, session_id, turn)
        return await _tell(tx, budget, row, turn)


async def _rewritten(tx: Tx, session_id: UUID, turn: SpokenTurn) -> bool:
    """Whether something new was said of a turn that has a row."""
    kept = await store.get(tx, session_id, turn.seq)
    if kept is None or kept.role != turn.role:
        raise TurnDiffers
    if kept.open:
        await store.rewrite(tx, session_id, turn)
    elif not turn.open and kept.text != turn.text:
        raise TurnDiffers
    return kept.open


async def _tell(tx: Tx, budget: Budget, row: Row, turn: SpokenTurn) -> bool:
    """Whether the turn is over."""
    if turn.open:
        return False
    event = VoiceTurnRecorded(session_id=row.id, conversation_id=row.conversation_id, seq=turn.seq)
    await outbox.emit(tx, event, source=SOURCE)
    counting.show(turn, row.channel)
    guest = row.user_id is None
    await budget.count(tx, row.owner_id, row.pipeline, turn, guest=guest)
    return True


async def recorded(
    db: Database, session_id: UUID, after: int, *, elsewhere: bool = False
) -> RecordedTurns:
    """The turns of a session that are over, beyond a number. Where its conversation goes on
    `elsewhere` and nobody is in it, it ends; where whoever speaks seems dead, the turn does.

    Raises:
        NotFound
    """
    async with db.transaction(ITSELF) as tx:
        row = await sessions.require(tx, session_id)
    if elsewhere and not row.over:
        await sessions.go_on_elsewhere(db, row.conversation_id)
    async with db.transaction(ITSELF) as tx:
        row = await sessions.require(tx, session_id)
        turns = await store.after(tx, session_id, after, PAGE)
        some_open = await store.some_open(tx, session_id)
    return RecordedTurns(
        conversation_id=row.conversation_id,
        owner_id=row.owner_id,
        channel=row.channel,
        turns=tuple(turns),
        more=len(turns) == PAGE,
        ended=row.over and not some_open,
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """What somebody knows of a session: its configuration, and messages up to a place."""

    config: int = 0
    messages: int = 0
    seq: int | None = None

    def __str__(self) -> str:
        return f"{self.config}.{self.messages}" + (f".{self.seq}" if self.seq is not None else "")

    @classmethod
    def parse(cls, cursor: str, row: Row) -> "_Place":
        """What a cursor names; one that names nothing knows of the messages that there are."""
        parts = cursor.split(".")
        numbers = [int(part) if part.isdecimal() else MOST + 1 for part in parts]
        if not 2 <= len(numbers) <= 3 or max(numbers) > MOST:
            return cls(messages=row.message_version)
        return cls(*numbers)


async def changes(
    sessions: Sessions, signals: Signals, session_id: UUID, cursor: str, *, within: float
) -> Changes:
    """What changed since `cursor`; waits up to `within` seconds while nothing has.

    Raises:
        NotFound: there is no such session.
        ServiceUnavailable: the conversation cannot be read now.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + min(within, WAIT_WITHIN)
    with signals.on(session_rows.changed(session_id)) as woken:
        while True:
            async with sessions.db.transaction(ITSELF) as tx:
                row = await session_rows.get_any(tx, session_id)
            if row is None:
                raise NotFound
            found = await _changes(sessions, row, _Place.parse(cursor, row))
            cursor, left = found.cursor, deadline - clock()
            if found != Changes(cursor=cursor) or left <= 0:
                return found
            await woken(min(left, LOOK_EVERY if signals.listening else POLL))


async def _changes(sessions: Sessions, row: Row, known: _Place) -> Changes:
    """What is beyond the place that is known; a cursor alone where nothing is."""
    seq = known.seq
    messages: tuple[Earlier, ...] = ()
    if not row.over and row.message_version > known.messages:
        asked = AskHistory(after=seq or 0, messages=MESSAGES, except_session=row.id)
        try:
            history = await sessions.conversations.history(row.owner_id, row.conversation_id, asked)
        except NotFound:  # deleted; the event that ends the session comes next
            return Changes(cursor=str(known))
        messages = history.messages if seq is not None else ()
        seq = history.last_seq
    configured = row.config_version > known.config
    return Changes(
        cursor=str(_Place(row.config_version, row.message_version, seq)),
        instructions=row.instructions if configured else None,
        voice_settings=VoiceSettings.model_validate(row.voice_settings) if configured else None,
        messages=messages,
        end=row.end_reason,
    )
