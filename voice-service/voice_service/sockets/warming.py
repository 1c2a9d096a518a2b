"""Models, library and offline voice for sessions of this process: opened once, ahead or on need."""

import asyncio
from contextlib import AsyncExitStack
from importlib.util import find_spec

import anyio.to_thread

from kit import logs
from kit.errors import ServiceUnavailable
from voice_service.agent import resources
from voice_service.agent.resources import Resources
from voice_service.offline.opening import open_offline
from voice_service.sessions.pipelines import OFFLINE_MODULES
from voice_service.settings import Settings

_log = logs.get(__name__)


class Warm:
    """What sessions share. Opening it takes seconds and is tried again after a failure."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keeping: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Resources] | None = None
        self._done = asyncio.Event()

    def begin(self) -> asyncio.Future[Resources]:
        """Starts to open it unless that was done."""
        if self._opened is None or (self._opened.done() and self._opened.exception() is not None):
            self._opened = asyncio.get_running_loop().create_future()
            self._keeping = asyncio.create_task(self._keep(self._opened))
        return self._opened

    async def get(self) -> Resources:
        """What sessions share, once it is open.

        Raises:
            ServiceUnavailable: it cannot be opened now.
        """
        try:
            return await asyncio.shield(self.begin())
        except OSError:
            raise ServiceUnavailable from None

    async def aclose(self) -> None:
        """Closes it."""
        self._done.set()
        if self._keeping is not None:
            if self._opened is not None and not self._opened.done():
                self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self, opened: asyncio.Future[Resources]) -> None:
        """Opens and closes in one task, as some of what is opened must be."""
        async with AsyncExitStack() as stack:
            try:
                local = None
                if all(find_spec(name) is not None for name in OFFLINE_MODULES):
                    local = await stack.enter_async_context(open_offline(self._settings))
                await anyio.to_thread.run_sync(resources.prewarm)
                opening = resources.open_resources(self._settings, local)
                opened.set_result(await stack.enter_async_context(opening))
            except Exception as error:
                _log.error("voice.not_opened", **logs.failure(error))
                opened.set_exception(ServiceUnavailable())
                opened.exception()  # whoever waits for it hears of it; nobody need wait
                return
            await self._done.wait()
