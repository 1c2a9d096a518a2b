"""A caller in a room as a process of its own, whose network a test can cut by stopping it.

`python tests/support/far_caller.py URL TOKEN`; each line of its input is said aloud, and what it
hears and reads comes as lines of JSON.
"""

import asyncio
import json
import sys
from typing import Any

from callers import InRoom

LOOKS = 0.05


def tell(**what: Any) -> None:
    """One line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def report(talker: InRoom) -> None:
    """Tells what is new, until the far end has hung up."""
    lines = begun = 0
    while not talker.gone:
        for line in talker.lines[lines:]:
            tell(kind="line", role=line.role, text=line.text)
        for text in talker.begun[begun:]:
            tell(kind="begun", text=text)
        lines, begun = len(talker.lines), len(talker.begun)
        await asyncio.sleep(LOOKS)
    tell(kind="gone")


async def main(url: str, token: str) -> None:
    """Joins, and says what it is told to."""
    made = {"livekit_url": url, "token": token, "conversation_id": "", "session_id": ""}
    talker = InRoom(made)
    talker.room.on("reconnecting", lambda: tell(kind="reconnecting"))
    talker.room.on("reconnected", lambda: tell(kind="reconnected"))
    await talker.enter(made)
    tell(kind="entered")
    reporting = asyncio.create_task(report(talker))
    told = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(told), sys.stdin
    )
    while words := (await told.readline()).decode().strip():
        await talker.say(words)
        tell(kind="said", text=words)
    await talker.hang_up()
    reporting.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
