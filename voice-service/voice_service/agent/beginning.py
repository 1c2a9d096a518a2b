"""How a job begins: it makes a session its own and learns what that is."""

import asyncio
import contextlib

from contracts.voice import Heartbeat, Plan
from kit import background
from voice_service.agent.link_http import Away, HttpLink
from voice_service.agent.supervisor import BEATS

PLANNED_WITHIN = 30.0
"""Seconds to learn what a session is; the caller has been let go by then."""
AGAIN_AFTER = 1.0

_BEGINS = Heartbeat(agent_state="initializing")


async def learn(link: HttpLink, *, within: float = PLANNED_WITHIN, beats: float = BEATS) -> Plan:
    """What to begin with, once the session is this job's: another may have been sent as well, and
    whoever asks for the plan of a session ends what was being said in it.

    While the service is away, or cannot read the conversation, it is asked again, and signs of
    life go on, so that the session is neither given up nor another's.

    Raises:
        SessionLost: it is another's, or there is none.
        Away: it was not learned in time.
    """
    beating: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(within):
            while True:
                try:
                    if beating is None:
                        await link.beat(_BEGINS)
                        beating = asyncio.create_task(_beat(link, beats))
                    return await link.plan()
                except Away:
                    await asyncio.sleep(AGAIN_AFTER)
    except TimeoutError:
        raise Away("no plan") from None
    finally:
        if beating is not None:
            await background.ended(beating)


async def _beat(link: HttpLink, beats: float) -> None:
    while True:
        await asyncio.sleep(beats)
        with contextlib.suppress(Away):
            await link.beat(_BEGINS)
