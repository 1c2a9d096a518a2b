"""What ends a socket from outside: silence, and a caller who has signed out."""

import asyncio
from collections.abc import Callable

from kit.identity import Actor
from voice_service.sockets.desk import Desk
from voice_service.sockets.lines import Code, Line

LOOK_EVERY = 1.0
ASK_EVERY = 4.0


async def watch(
    line: Line, desk: Desk, caller: Actor, *, idle: float, busy: Callable[[], bool]
) -> Code:
    """Waits until the socket has to close, and answers with which code.

    `idle` is in seconds; while the assistant is `busy` speaking nothing is expected.
    """
    asked = 0.0
    while True:
        await asyncio.sleep(min(LOOK_EVERY, idle / 4))
        if busy():
            line.heard_something()
        if line.idle() > idle:
            return Code.IDLE
        asked += LOOK_EVERY
        if asked >= ASK_EVERY:
            asked = 0.0
            if not await desk.still_in(caller):
                return Code.TOKEN
