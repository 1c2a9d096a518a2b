"""What a caller of the voice sockets has received, as the checks of the protocol look at it."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter

from medbot.calling import Caller, Message, decoded, mp3_of

GREETED_WITHIN = 4.0
ANSWERED_WITHIN = 25.0
STARTED_WITHIN = 90.0


async def greeted(caller: Caller) -> int:
    """Waits for the greeting, if there is one; how many messages have come by then."""
    await caller.wait_for("ready", within=STARTED_WITHIN)
    with contextlib.suppress(TimeoutError):
        await caller.wait_for("audio", within=GREETED_WITHIN)
        await caller.wait_for("audio_complete", within=60)
    return len(caller.got)


async def until(caller: Caller, holds: Callable[[], bool], within: float = ANSWERED_WITHIN) -> None:
    """Waits until that holds."""
    async with asyncio.timeout(within):
        while not holds():
            caller.changed.clear()
            await caller.changed.wait()


def has_final(caller: Caller, role: str) -> bool:
    """Whether that side said something to its end."""
    said = [one for one in caller.all("transcript") if one["role"] == role and one["final"]]
    return any(one["text"] for one in said)


def check_messages(caller: Caller, kind: TypeAdapter[Any]) -> None:
    """Asserts that every message has the protocol's shape."""
    for _, message in caller.got:
        kind.validate_json(json.dumps(message))


def replies(caller: Caller) -> list[list[tuple[float, Message]]]:
    """The chunks of each reply, with the second at which each came."""
    found: list[list[tuple[float, Message]]] = []
    for at, message in caller.got:
        if message["event"] == "audio":
            if message["chunk_num"] == 0:
                found.append([])
            assert found, "a reply begins with another chunk than 0"
            found[-1].append((at, message))
    return found


def check_reply(reply: list[tuple[float, Message]]) -> None:
    """Asserts that the chunks are numbered, are one file, and came no faster than it is played."""
    chunks = [message for _, message in reply]
    numbers = [chunk["chunk_num"] for chunk in chunks]
    assert numbers == list(range(len(numbers))), f"chunks are numbered {numbers}"
    seconds = len(decoded(mp3_of(chunks))) / 48_000
    assert seconds > 0, "the chunks joined are no MP3"
    took = reply[-1][0] - reply[0][0]
    assert took > seconds - 1.0, f"{seconds:.1f} s of speech came within {took:.1f} s"
