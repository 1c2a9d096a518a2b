"""Long conversations, written straight into the database."""

import uuid

import asyncpg

from kit.testing import Addresses


async def fill(addresses: Addresses, path: str, contents: list[str]) -> None:
    """Writes exchanges straight into a conversation, as a busy year would."""
    connection = await asyncpg.connect(addresses.owner)
    conversation = uuid.UUID(path.rpartition("/")[2])
    owner = await connection.fetchval(
        "update public.conversations set last_seq = $2 where id = $1 returning owner_id",
        conversation,
        2 * len(contents),
    )
    rows = []
    for n, content in enumerate(contents):
        asked = (uuid.uuid4(), conversation, owner, 2 * n + 1, "user", content)
        rows += [asked, (uuid.uuid4(), conversation, owner, 2 * n + 2, "assistant", "Yes. " * 80)]
    columns = ("id", "conversation_id", "owner_id", "seq", "role", "content")
    await connection.copy_records_to_table(
        "messages", schema_name="public", records=rows, columns=columns
    )
    await connection.close()


def chatter(count: int) -> list[str]:
    """Long talk of one thing."""
    return [f"My head hurt again on day {n}, and I was at the {n}th shop to buy bread. " * 3
            for n in range(count)]  # fmt: skip
