"""The auth service's own rows about a person. Secrets are told of, not shown."""

from privacy.people import Section

SECTIONS = (
    Section(
        "account", "medbot.accounts", "id", "id, email, created_at, updated_at", {"id": "uuid"}
    ),
    Section(
        "profile",
        "public.user_profiles",
        "user_id",
        "user_id, full_name, phone, date_of_birth, locale, time_zone, created_at, updated_at",
        {"user_id": "uuid"},
    ),
    Section(
        "consents",
        "public.user_consents",
        "user_id",
        "id, name, given, wording, locale, decided_at",
        {"id": "bigint"},
    ),
    Section("roles", "public.user_roles", "user_id", "role, created_at", {"role": "text"}),
    Section("lost_roles", "medbot.lost_roles", "user_id", "role, lost_at", {"role": "text"}),
    Section(
        "password", "medbot.credentials", "user_id", "user_id, updated_at", {"user_id": "uuid"}
    ),
    Section(
        "sessions",
        "medbot.sessions",
        "user_id",
        "id, created_at, used_at, ended_at, network, program",
        {"id": "uuid"},
    ),
    Section(
        "sign_in_places",
        "(select user_id, encode(key, 'hex') as key, seen_at from medbot.sign_in_places) places",
        "user_id",
        "key, seen_at",
        {"key": "text"},
    ),
    Section(
        "mails",
        "medbot.mails",
        "user_id",
        "id, kind, created_at, due_at, attempts, done_at",
        {"id": "uuid"},
    ),
    Section(
        "mailed_links",
        "(select user_id, encode(digest, 'hex') as digest, purpose, expires_at"
        " from medbot.mailed_tokens) links",
        "user_id",
        "digest, purpose, expires_at",
        {"digest": "text"},
    ),
    Section(
        "joined_guests",
        "medbot.joined_guests",
        "user_id",
        "guest_id, joined_at",
        {"guest_id": "uuid"},
    ),
    Section("lock", "medbot.account_locks", "user_id", "user_id, locked_at", {"user_id": "uuid"}),
    Section(
        "refresh_tokens",
        "(select s.user_id, t.session_id, t.created_at, t.used_at, encode(t.digest, 'hex') digest"
        " from medbot.refresh_tokens t join medbot.sessions s on s.id = t.session_id) tokens",
        "user_id",
        "digest, session_id, created_at, used_at",
        {"digest": "text"},
    ),
)
