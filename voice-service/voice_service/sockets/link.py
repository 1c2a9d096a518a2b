"""The voice service as a session sees it that runs in this very process."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from contracts.voice import Changes, Heartbeat, SpokenTurn
from kit import logs
from kit.database import CONNECTION_ERRORS
from kit.errors import DomainError, ServiceUnavailable
from kit.signals import Signals
from voice_service.sessions import actions as session_actions
from voice_service.sessions.actions import Sessions
from voice_service.turns import actions

AGAIN_AFTER = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts; the last one holds from then on."""
ASKS_AGAIN_AFTER = 1.0
"""Seconds after which a database that is away is asked for changes again."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class LocalLink:
    """One session's link; what the HTTP link asks for, without HTTP. Its signs of life say that
    `job`, which is this process, runs the session."""

    sessions: Sessions
    signals: Signals
    session_id: UUID
    longest: timedelta
    job: str

    async def record(self, turn: SpokenTurn) -> None:
        """Returns when the turn is durable; whatever the database fails with is waited out. One
        that can never be stored is logged and let go."""
        attempt = 0
        while True:
            try:
                await actions.record(self.sessions.db, self.sessions.budget, self.session_id, turn)
                return
            except Exception as error:
                if isinstance(error, DomainError) and not isinstance(error, ServiceUnavailable):
                    _log.error("turn.refused", seq=turn.seq, reason=error.code)
                    return
                _log.warning("turn.waiting", seq=turn.seq, **logs.failure(error))
            await asyncio.sleep(AGAIN_AFTER[min(attempt, len(AGAIN_AFTER) - 1)])
            attempt += 1

    async def beat(self, beat: Heartbeat) -> None:
        """Keeps a sign of life; one that the database cannot take now is lost."""
        mine = beat.model_copy(update={"job": self.job})
        try:
            await session_actions.beat(
                self.sessions.db, self.session_id, mine, longest=self.longest
            )
        except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
            _log.warning("beat.lost", **logs.failure(error))

    async def changes(self, cursor: str) -> Changes:
        """What changed since `cursor`; waits for a while, and for a database that is away."""
        while True:
            try:
                return await actions.changes(
                    self.sessions, self.signals, self.session_id, cursor, within=actions.WAIT_WITHIN
                )
            except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
                _log.warning("changes.waiting", **logs.failure(error))
                await asyncio.sleep(ASKS_AGAIN_AFTER)
