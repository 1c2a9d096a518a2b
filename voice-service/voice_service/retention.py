"""What this service keeps for how long: a session that is over goes with all that was said in it.

Its turns are messages of a conversation by then, and go there by the same setting.
"""

from privacy import retention


def classes(*, messages_days: float | None) -> list[retention.Class]:
    """The classes in the order in which they are applied."""
    return [
        retention.rows(
            "voice_sessions",
            "RETENTION_MESSAGES_DAYS",
            messages_days,
            table="public.voice_sessions",
            key="id",
            old="ended_at < $1 and not room_open",
        )
    ]
