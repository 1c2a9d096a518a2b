"""Ends what nobody runs any more, sends agents again that did not come, closes rooms.

All of it looks at rows alone, so any instance does it for all, and a restart forgets nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from contracts.voice import EndReason
from kit import logs
from kit.database import CONNECTION_ERRORS, Database, Tx
from kit.errors import ServiceUnavailable
from voice_service.rooms.media import AWAY, SILENT, Media
from voice_service.sessions import actions, counting, store
from voice_service.sessions.actions import ITSELF
from voice_service.turns import store as turns

AGAIN_AFTER = 4.0
"""Seconds that an agent has to give a sign of life before another is sent."""

GRACE = 20.0
"""Seconds beyond the longest duration: whoever runs the session says goodbye in them."""

SPEAKS_ON = 120.0
"""Seconds beyond it for which words that are being said are not cut off: an alarm that was raised
over the goodbye is longer than that is."""

CLOSE_AFTER = 8.0
"""Seconds after the end of a session in which whoever ran it may say how its last turn ended."""

FORGET_AFTER = 60.0
"""Seconds for which a session of a deleted conversation is kept, so that its agent learns of it."""

BATCH = 100

_log = logs.get(__name__)

_OVERDUE = """
select id, reason from (
  select id, case
    when status = 'created' and joined_at is null and expires_at < clock_timestamp()
      then 'caller_left'
    when heartbeat_at < clock_timestamp() - make_interval(secs => $1) and $3 then 'failed'
    when heartbeat_at is null and joined_at < clock_timestamp() - make_interval(secs => $2)
      then 'failed'
    when ends_at < clock_timestamp() - make_interval(
        secs => case agent_state when 'speaking' then $6::float8 else $4::float8 end)
      then 'too_long'
  end as reason
  from public.voice_sessions where ended_at is null
) due where reason is not null limit $5
"""

_UNATTENDED = """
update public.voice_sessions set dispatches = dispatches + 1, dispatched_at = clock_timestamp()
where id in (
  select id from public.voice_sessions
  where ended_at is null and heartbeat_at is null and room_name is not null
  and joined_at is not null
  and dispatched_at < clock_timestamp() - make_interval(secs => $1)
  order by dispatched_at limit $2 for update skip locked
) returning id, room_name, dispatches
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: a session without a sign of life is lost, a caller without an agent is let go."""

    lost: float
    agent: float


class Reaper:
    """`sweep` is called again and again."""

    def __init__(
        self,
        db: Database,
        media: Media | None,
        limits: Limits,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._media = media
        self._limits = limits
        self._monotonic = monotonic
        self._well_since: float | None = None

    async def sweep(self) -> None:
        """One round; a database that is away is waited for."""
        try:
            await self._end_overdue()
            await self._close_turns()
            await self._forget()
            if self._media is not None:
                await self._send_agents(self._media)
                await self._close_rooms(self._media)
        except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
            self._well_since = None
            _log.warning("voice.sweep_waiting", **logs.failure(error))

    def _settled(self) -> bool:
        """Whether signs of life could be kept for long enough that a missing one means something:
        while the database was away, or this service was, nobody could give one."""
        now = self._monotonic()
        if self._well_since is None:
            self._well_since = now
        return now - self._well_since >= self._limits.lost

    async def _end_overdue(self) -> None:
        async with self._db.transaction(ITSELF) as tx:
            due = await tx.fetch(
                _OVERDUE,
                self._limits.lost,
                self._limits.agent,
                self._settled(),
                GRACE,
                BATCH,
                SPEAKS_ON,
            )
        for row in due:
            await self._end(row["id"], row["reason"])

    async def _end(self, session_id: UUID, reason: EndReason) -> None:
        async with self._db.transaction(ITSELF) as tx:
            if not await self._still(tx, session_id, reason):
                return
            if await actions.end(tx, session_id, reason, deserted=reason == "failed"):
                _log.warning("voice.reaped", session_id=str(session_id), reason=reason)

    async def _still(self, tx: Tx, session_id: UUID, reason: EndReason) -> bool:
        """Whether a lost session gave no sign of life since it was found; locks it."""
        if await store.get(tx, session_id, lock=True) is None:
            return False
        fresh: Any = await tx.fetchval(
            "select heartbeat_at >= clock_timestamp() - make_interval(secs => $2)"
            " from public.voice_sessions where id = $1",
            session_id,
            self._limits.lost,
        )
        return not (reason == "failed" and fresh)

    async def _send_agents(self, media: Media) -> None:
        async with self._db.transaction(ITSELF) as tx:
            waiting = await tx.fetch(_UNATTENDED, AGAIN_AFTER, BATCH)
        counting.missed(len(waiting))
        for row in waiting:
            try:
                sent = await media.send_agent(row["id"], row["room_name"])
            except AWAY as error:
                _log.warning("voice.dispatch_failed", **logs.failure(error))
                if isinstance(error, SILENT):
                    return  # nobody is to wait for each of the others too
            else:
                _log.warning(
                    "voice.agent_missed",
                    session_id=str(row["id"]),
                    times=row["dispatches"],
                    sent_again=sent,
                )

    async def _close_rooms(self, media: Media) -> None:
        async with self._db.transaction(ITSELF) as tx:
            rooms = await tx.fetch(
                "select id, room_name from public.voice_sessions"
                " where room_open and ended_at is not null order by ended_at limit $1",
                BATCH,
            )
        for row in rooms:
            try:
                await media.close_room(row["room_name"])
            except AWAY as error:
                _log.warning("voice.room_left_open", **logs.failure(error))
                return
            async with self._db.transaction(ITSELF) as tx:
                await store.close_room(tx, row["id"])

    async def _close_turns(self) -> None:
        """Turns that nobody will end any more."""
        async with self._db.transaction(ITSELF) as tx:
            for session_id in await turns.left_open(tx, CLOSE_AFTER, BATCH):
                row = await store.get(tx, session_id, lock=True)
                if row is not None:
                    await actions.close_turns(tx, row.id, row.conversation_id)

    async def _forget(self) -> None:
        async with self._db.transaction(ITSELF) as tx:
            await tx.execute(
                "delete from public.voice_sessions where end_reason = 'conversation_deleted'"
                " and not room_open"
                " and ended_at < clock_timestamp() - make_interval(secs => $1)",
                FORGET_AFTER,
            )
