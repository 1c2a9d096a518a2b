"""Where this service keeps rows of people: handed out and erased as every holder does it."""

from kit import outbox
from kit.signals import CHANNEL
from privacy import people
from privacy.people import Section

SECTIONS = (
    Section(
        "sessions",
        "public.voice_sessions",
        "owner_id",
        "id, conversation_id, channel, pipeline, status, end_reason, room_name, instructions,"
        " voice_settings, ignored, metadata, limited, locale, agent_state, participants,"
        " created_at, expires_at, joined_at, started_at, ends_at, ended_at, alias",
        {"id": "uuid"},
    ),
    Section(
        "turns",
        "(select s.owner_id, t.* from medbot.voice_turns t"
        " join public.voice_sessions s on s.id = t.session_id) turns",
        "owner_id",
        "session_id, seq, role, text, interrupted, started_at, ended_at, latency, citations,"
        " triage, usage, recorded_at",
        {"session_id": "uuid", "seq": "bigint"},
    ),
)

ERASE = (
    "select 1 from public.voice_sessions where owner_id = $1 order by id for update",
    f"select pg_notify('{CHANNEL}', 'voice:' || id) from public.voice_sessions"  # noqa: S608
    " where owner_id = $1 and ended_at is null",
    *outbox.forgetting(
        "e.envelope -> 'data' ->> 'session_id' in"
        " (select s.id::text from public.voice_sessions s where s.owner_id = $1)"
    ),
    "delete from public.voice_sessions where owner_id = $1",
)
"""In this order; whoever runs one of the sessions is woken and finds it gone."""

router = people.router("voice", SECTIONS)
