"""Where this service keeps rows of people. A new table joins here, or hangs on one that is here."""

from kit import outbox
from privacy import people
from privacy.people import Section

SECTIONS = (
    Section(
        "conversations",
        "public.conversations",
        "owner_id",
        "id, title, titled_by, pinned, created_at, updated_at",
        {"id": "uuid"},
    ),
    Section(
        "messages",
        "public.messages",
        "owner_id",
        "id, conversation_id, seq, role, channel, content, citations, triage, status, reply_to,"
        " replaces, replaced_by, latency, usage, limited, stop_requested, voice_session_id,"
        " voice_seq, created_at, ended_at",
        {"conversation_id": "uuid", "seq": "bigint"},
    ),
    Section(
        "feedback",
        "public.message_feedback",
        "owner_id",
        "message_id, conversation_id, rating, comment, created_at, updated_at",
        {"message_id": "uuid"},
    ),
    Section(
        "summaries",
        "public.conversation_summaries",
        "owner_id",
        "conversation_id, through_seq, facts, prose, written_by, usage, updated_at",
        {"conversation_id": "uuid"},
    ),
    Section(
        "voice_links",
        "(select c.owner_id, v.* from medbot.voice_links v"
        " join public.conversations c on c.id = v.conversation_id) links",
        "owner_id",
        "session_id, conversation_id, last_seq, ended, created_at",
        {"session_id": "uuid"},
    ),
    Section(
        "running_replies",
        "(select m.owner_id, p.message_id, p.seq, p.start, p.text, p.citations, p.tools"
        " from medbot.reply_parts p join public.messages m on m.id = p.message_id) parts",
        "owner_id",
        "message_id, seq, start, text, citations, tools",
        {"message_id": "uuid", "seq": "integer"},
    ),
    Section("feed", "medbot.feed", "owner_id", "seq, type, ref, created_at", {"seq": "bigint"}),
    Section(
        "idempotency_keys",
        "medbot.idempotency_keys",
        "owner_id",
        "key, made, created_at",
        {"key": "text"},
    ),
    Section(
        "usage",
        "medbot.usage",
        "owner_id",
        "day, service, provider, model, calls, prompt_tokens, completion_tokens, micro_usd",
        {"day": "date", "service": "text", "provider": "text", "model": "text"},
    ),
    Section("spending", "medbot.spending", "owner_id", "day, micro_usd", {"day": "date"}),
)

_EVENTS = outbox.forgetting(
    "e.envelope -> 'data' ->> 'conversation_id' in"
    " (select c.id::text from public.conversations c where c.owner_id = $1)"
)

ERASE = (
    # As every writer does: conversations first, so that nobody waits for one another in a ring.
    "select 1 from public.conversations where owner_id = $1 order by id for update",
    *_EVENTS,
    "delete from public.messages where owner_id = $1",
    "delete from public.conversations where owner_id = $1",
    "delete from medbot.feed_heads where owner_id = $1",
    "delete from medbot.idempotency_keys where owner_id = $1",
    # What models took stays in the sums, as nobody's.
    "with gone as (delete from medbot.usage where owner_id = $1 returning *)"
    " insert into medbot.usage as u (day, owner_id, service, provider, model, calls,"
    "  prompt_tokens, completion_tokens, micro_usd)"
    " select day, '00000000-0000-0000-0000-000000000000', service, provider, model, calls,"
    "  prompt_tokens, completion_tokens, micro_usd from gone"
    " on conflict (day, owner_id, service, provider, model) do update set"
    "  calls = u.calls + excluded.calls,"
    "  prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,"
    "  completion_tokens = u.completion_tokens + excluded.completion_tokens,"
    "  micro_usd = u.micro_usd + excluded.micro_usd",
    "delete from medbot.spending where owner_id = $1",
)
"""In this order; what refers to these rows goes with them."""

router = people.router("conversation", SECTIONS)
