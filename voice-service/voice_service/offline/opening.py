"""Opens offline voice, once a process."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Protocol

import structlog

from voice_service.offline import corpora, pool, recognition, speech

_CALLERS_A_CORE = 4
_RETRY_SECONDS = 30.0

_log = structlog.stdlib.get_logger(__name__)


class Settings(Protocol):
    """Where the library is, and where the model is kept."""

    @property
    def library_dir(self) -> Path: ...

    @property
    def data_dir(self) -> Path: ...


class Offline:
    """Recognition and speech. `ready` tells whether recognition can begin; speech can at once."""

    def __init__(self) -> None:
        self._pool: pool.Pool | None = None
        self._opened = asyncio.Event()

    @property
    def ready(self) -> bool:
        return self._opened.is_set()

    async def wait_ready(self) -> None:
        """Returns once the model is built and a recogniser is warm."""
        await self._opened.wait()

    def stt(self) -> recognition.OfflineSTT:
        """A plugin for one session. Before `ready`, it hears once it can."""
        return recognition.OfflineSTT(self.lease)

    def tts(self, voice: str | None = None) -> speech.OfflineTTS:
        """A plugin for one session."""
        return speech.OfflineTTS(voice)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[pool.Ear]:
        """A recogniser's process for one caller, once there is a model."""
        await self._opened.wait()
        assert self._pool is not None
        async with self._pool.lease() as ear:
            yield ear

    async def serve(self, settings: Settings) -> None:
        """Builds the model where it is missing, again after a failure, and warms a recogniser."""
        while True:
            try:
                folder = await built(settings)
                opened = pool.Pool(folder, _CALLERS_A_CORE * (os.cpu_count() or 1))
                await opened.warm()
            except (OSError, pool.Deaf) as error:
                _log.warning("offline_voice.not_ready", kind=type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._pool = opened
                self._opened.set()
                return

    async def aclose(self) -> None:
        """Ends every process."""
        if self._pool is not None:
            await self._pool.aclose()


class ChildFailed(RuntimeError):
    """The program that builds the model ended without one."""


def folder_of(settings: Settings) -> Path:
    """Where the model is or will be; another folder when anything it comes from has changed."""
    versions = [metadata.version(name) for name in ("pocketsphinx", "espeakng-loader")]
    mark = corpora.fingerprint(settings.library_dir, versions)
    return settings.data_dir / "offline-voice" / mark


async def built(settings: Settings) -> Path:
    """The folder of the model, built where it is missing, again after a failure. Building ends with
    whoever waits for it here, so a process that outlives its calls does so ahead of them."""
    while True:
        try:
            return await _model(settings)
        except (OSError, ChildFailed) as error:
            _log.warning("offline_voice.not_built", kind=type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)


async def _model(settings: Settings) -> Path:
    folder = await asyncio.to_thread(folder_of, settings)
    if not folder.is_dir():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "voice_service.offline.building",
            str(settings.library_dir), str(folder),
        )  # fmt: skip
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if not folder.is_dir():
            raise ChildFailed(f"building ended with {process.returncode}")
    await asyncio.to_thread(_used, folder)
    return folder


def _used(folder: Path) -> None:
    """Marks a model as used now, by which older ones are told; one on a read-only disk stays."""
    if os.access(folder, os.W_OK):
        os.utime(folder)


@asynccontextmanager
async def open_offline(settings: Settings) -> AsyncIterator[Offline]:
    """Offline voice; it gets ready in the background."""
    offline = Offline()
    serving = asyncio.create_task(offline.serve(settings))
    try:
        yield offline
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await offline.aclose()
