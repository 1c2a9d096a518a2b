"""What is left of a session that has ended: nothing."""

import asyncio

from providers import Cloud, Open
from talking import Desk, conversation, plan

from contracts.voice import Changes
from kit import background


class _Failing(Desk):
    """Its connection fails in the very moment in which whoever asks is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def changes(self, cursor: str) -> Changes:
        self.asked += 1
        try:
            return await super().changes(cursor)
        except asyncio.CancelledError:
            if self.asked > 1:
                raise
            raise ConnectionResetError from None


async def test_nothing_goes_on_after_the_end(opened: Open, cloud: Cloud) -> None:
    resources, desk = await opened(), _Failing()
    async with conversation(resources, plan("cascade"), desk) as talk:
        await talk.until(lambda: desk.asked)
        await talk.supervisor.end("asked")
        assert desk.beats[-1].ended == "asked"
        await asyncio.sleep(background.CANCELLED_AFTER + 1.0)
    assert desk.asked == 1
    assert desk.beats[-1].ended == "asked"
