"""Parts that hear: any speech-to-text plugin, streaming or not."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt, utils

from voice_service.agent.parts import Heard, PartFailed

_ONCE = APIConnectOptions(max_retry=0, retry_interval=0.1, timeout=2.0)


class WholeEar:
    """A plugin that takes a stretch of speech as a whole."""

    def __init__(self, name: str, plugin: stt.STT[Any], *, within: float) -> None:
        self.name, self.within = name, within
        self._plugin = plugin
        plugin.on("error", _known)

    def begin(self, frames: Sequence[rtc.AudioFrame], began: float) -> None:
        """Nothing: it gets the whole at the end."""

    def push(self, frames: Sequence[rtc.AudioFrame]) -> None:
        """Nothing: it gets the whole at the end."""

    def partial(self) -> str:
        """Nothing is known before the end."""
        return ""

    async def hear(self, frames: Sequence[rtc.AudioFrame], began: float) -> Heard:
        """Asks once."""
        try:
            async with asyncio.timeout(self.within):
                event = await self._plugin.recognize(
                    utils.combine_frames(list(frames)), conn_options=_ONCE
                )
        except TimeoutError:
            raise PartFailed(self.name, "too slow") from None
        except Exception as error:  # whatever a plugin raises, the next part must hear
            raise PartFailed(self.name, _reason(error)) from None
        return _heard(event.alternatives)

    def forget(self, began: float) -> None:
        """Nothing: it has nothing of it."""

    async def aclose(self) -> None:
        """Closes the plugin."""
        await self._plugin.aclose()


class StreamEar:
    """A plugin that listens along. Each stretch of speech is a stream of its own."""

    def __init__(self, name: str, plugin: stt.STT[Any], *, within: float) -> None:
        self.name, self.within = name, within
        self._plugin = plugin
        self._listening: dict[float, _Listening] = {}
        self._newest: _Listening | None = None
        plugin.on("error", _known)

    def begin(self, frames: Sequence[rtc.AudioFrame], began: float) -> None:
        """Opens a stream; one of before, which is not heard yet, keeps what it was given."""
        self._newest = self._listening[began] = self._listen()
        self._newest.push(frames)

    def push(self, frames: Sequence[rtc.AudioFrame]) -> None:
        """Goes on with the newest stream."""
        if self._newest is not None:
            self._newest.push(frames)

    def partial(self) -> str:
        """The words so far of the newest stream."""
        return self._newest.words() if self._newest is not None else ""

    async def hear(self, frames: Sequence[rtc.AudioFrame], began: float) -> Heard:
        """Ends the stream, or hears all of it now."""
        listening = self._listening.pop(began, None)
        if listening is None:
            listening = self._listen()
            listening.push(frames)
        try:
            async with asyncio.timeout(self.within):
                return await listening.finish()
        except TimeoutError:
            raise PartFailed(self.name, "too slow") from None
        except Exception as error:  # as above
            raise PartFailed(self.name, _reason(error)) from None
        finally:
            await listening.aclose()

    def forget(self, began: float) -> None:
        """Gives the stream up."""
        if (listening := self._listening.pop(began, None)) is not None:
            listening.abandon()

    async def aclose(self) -> None:
        """Closes the plugin."""
        left, self._listening, self._newest = [*self._listening.values()], {}, None
        for listening in left:
            await listening.aclose()
        await self._plugin.aclose()

    def _listen(self) -> "_Listening":
        return _Listening(self._plugin.stream(conn_options=_ONCE))


class _Listening:
    """One stream of a plugin, and the words that came from it."""

    def __init__(self, stream: stt.RecognizeStream) -> None:
        self._stream = stream
        self._finals: list[stt.SpeechData] = []
        self._interim = ""
        self._reading = asyncio.create_task(self._read())
        self._closing: asyncio.Task[None] | None = None

    def push(self, frames: Sequence[rtc.AudioFrame]) -> None:
        with contextlib.suppress(RuntimeError):  # the stream has failed; `finish` says so
            for frame in frames:
                self._stream.push_frame(frame)

    def words(self) -> str:
        return " ".join([*(data.text for data in self._finals), self._interim]).strip()

    async def finish(self) -> Heard:
        with contextlib.suppress(RuntimeError):
            self._stream.end_input()
        await self._reading
        return _heard(self._finals)

    async def aclose(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._stream.aclose()

    def abandon(self) -> None:
        self._closing = asyncio.create_task(self.aclose())

    async def _read(self) -> None:
        async for event in self._stream:
            if not event.alternatives:
                continue
            if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                self._finals.append(event.alternatives[0])
                self._interim = ""
            elif event.type == stt.SpeechEventType.INTERIM_TRANSCRIPT:
                self._interim = event.alternatives[0].text


def _heard(found: Sequence[stt.SpeechData]) -> Heard:
    """The first alternative of one event, or all finals of a stream joined."""
    text = " ".join(data.text.strip() for data in found).strip()
    sure = [data.confidence for data in found if data.confidence]
    return Heard(
        text,
        min(sure) if sure else None,
        _listed(found, "read_back"),
        tuple(words for words in _listed(found, "keyphrases") if words not in text.lower()),
    )


def _listed(found: Sequence[stt.SpeechData], name: str) -> tuple[str, ...]:
    """What a plugin tells of the words beside them."""
    return tuple(words for data in found for words in (data.metadata or {}).get(name, ()))


def _reason(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    return f"{type(error).__name__} {status}" if isinstance(error, APIError) else _name(error)


def _name(error: Exception) -> str:
    return type(error).__name__


def _known(_: object) -> None:
    """Errors come back from the call itself; an event without a listener would be raised."""
