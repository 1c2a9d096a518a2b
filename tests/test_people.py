"""No table is forgotten: it is handed out to its people and erased, or holds nothing of theirs."""

import re
from itertools import chain
from typing import Any

import asyncpg
import pytest

import voice_service.people
from auth_service.export import sections as auth
from conversation_service.privacy import people as conversation
from kit.testing import Addresses
from privacy.people import Section

SECTIONS: tuple[Section, ...] = (
    *auth.SECTIONS,
    *conversation.SECTIONS,
    *voice_service.people.SECTIONS,
)

OF_NOBODY = {
    "public._pogo_migration": "the schema's own",
    "public._pogo_version": "the schema's own",
    "auth.users": "handed out as medbot.accounts, since it may be Supabase's",
    "medbot.signing_keys": "the installation's",
    "medbot.outbox": "ids, until they are relayed",
    "medbot.queue": "ids, until they are handled",
    "medbot.dead_letters": "ids, until they are replayed",
    "medbot.inbox": "ids of events",
    "medbot.ended_sessions": "ids of sessions, two hours",
    "medbot.sign_in_failures": "keyed hashes, a day",
    "medbot.pending_accounts": "accounts that nobody has confirmed",
    "medbot.audit_log": "people under random numbers",
    "medbot.audit_people": "the random number of a person, which must stay unknown to be one",
    "medbot.audit_head": "the chain's",
    "medbot.audit_checkpoints": "the chain's",
    "medbot.tombstones": "digests of random ids",
    "medbot.guest_places": "a keyed hash of where a guest came from, a day at most",
    "medbot.erasures": "gone with its person, or about somebody who is",
    "medbot.erasure_parts": "times of services",
    "medbot.exports": "that an export runs, while it does",
    "medbot.account_changes": "roles and a lock, until whoever keeps the account has been told",
    "medbot.feed_heads": "how many entries the feed has had",
    "medbot.upkeep": "that a conversation waits for its title or summary",
}
"""Tables that no export has, and why."""

_TABLES = (
    "select n.nspname || '.' || c.relname as name, array(select a.attname from pg_attribute a"
    "  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,"
    " array(select f.confrelid::regclass::text from pg_constraint f"
    "  where f.conrelid = c.oid and f.contype = 'f' and f.confdeltype = 'c') as goes_with,"
    " exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'pass_over_erased')"
    "  as guarded"
    " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where c.relkind in ('r', 'p') and n.nspname in ('public', 'medbot', 'auth') order by 1"
)
_PERSON = {"owner_id", "user_id", "person_id"}


@pytest.fixture
async def tables(addresses: Addresses) -> dict[str, Any]:
    """Every table by its name."""
    connection = await asyncpg.connect(addresses.owner)
    try:
        return {row["name"]: row for row in await connection.fetch(_TABLES)}
    finally:
        await connection.close()


async def test_every_table_is_handed_out_or_holds_nothing_of_a_person(
    tables: dict[str, Any],
) -> None:
    sources = [re.findall(r"[a-z]+\.[a-z_]+", section.source) for section in SECTIONS]
    exported = tables.keys() & set(chain.from_iterable(sources))
    assert exported & OF_NOBODY.keys() == set()
    assert sorted(tables.keys() - exported - OF_NOBODY.keys()) == []
    assert sorted(OF_NOBODY.keys() - tables.keys()) == []


async def test_every_column_of_a_persons_table_is_handed_out_or_named_here(
    tables: dict[str, Any],
) -> None:
    kept_back = {
        "medbot.credentials": {"password_hash"},
        "medbot.idempotency_keys": {"digest", "digest_of"},
        "public.conversations": {"last_seq", "words"},  # counters, and the index of the title
        "public.messages": {"words", "lease_until"},
        "medbot.mails": {"pending_id", "recipient"},  # a keyed hash of the address
        "public.voice_sessions": {
            "room_open", "config_version", "last_seq", "message_seq", "holder", "heartbeat_at",
            "dispatches", "dispatched_at", "message_version",
        },
    }  # fmt: skip
    left: dict[str, set[str]] = {}
    for section in SECTIONS:
        names = [name for name in tables if section.source == name]
        for name in names:
            shown = {part.strip() for part in section.columns.split(",")}
            left[name] = set(tables[name]["columns"]) - shown - _PERSON - {"id"}
    forgotten = {name: columns - kept_back.get(name, set()) for name, columns in left.items()}
    assert {name: columns for name, columns in forgotten.items() if columns} == {}


async def test_no_late_write_brings_a_person_back(tables: dict[str, Any]) -> None:
    """A row of a person hangs on another that goes with them, or its table has a guard."""
    held = {name for name, row in tables.items() if row["guarded"]} | {"auth.users"}
    while more := {
        name for name, row in tables.items()
        if name not in held and any(_full(other) in held for other in row["goes_with"])
    }:  # fmt: skip
        held |= more
    of_people = {name for name, row in tables.items() if _PERSON & set(row["columns"])}
    assert sorted(of_people - held - {"medbot.erasures"}) == []


def _full(name: str) -> str:
    """`regclass` leaves out the schema where it is on the path."""
    return name if "." in name else f"public.{name}"
