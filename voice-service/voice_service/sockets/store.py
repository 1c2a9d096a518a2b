"""SQL on `public.voice_sessions` for those that speak by a socket."""

from uuid import UUID

from kit.database import Tx


async def speak_by_socket(tx: Tx, session_id: UUID) -> None:
    """From now on the session's turns came over a socket."""
    await tx.execute(
        "update public.voice_sessions set channel = 'websocket'"
        " where id = $1 and channel = 'voice'",
        session_id,
    )


async def attended(tx: Tx, session_id: UUID, *, there: bool) -> None:
    """Whether a session has its socket: without it ends once its conversation is elsewhere."""
    await tx.execute(
        "update public.voice_sessions set participants = $2 where id = $1 and ended_at is null",
        session_id,
        int(there),
    )


async def count_guests(tx: Tx) -> int:
    """Sessions of guests that have not ended."""
    found: int = await tx.fetchval(
        "select count(*) from public.voice_sessions where user_id is null and ended_at is null"
    )
    return found
