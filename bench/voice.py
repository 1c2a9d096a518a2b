"""How soon speech is answered, how many can speak at once, how evenly the sound goes out.

    python bench/voice.py [--turns 20] [--sessions 1 10 25 50] [--seconds 30] [--offline]

One Medbot runs as `medbot up` does; its providers are a process on the loopback that answers at
once. A bare AgentSession uses the same providers in turns with it. What each figure holds is
written in bench/README.md.
"""

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvloop
from livekit import rtc
from livekit.agents import Agent, AgentSession, inference, utils
from livekit.agents.voice import io
from livekit.plugins import openai
from websockets.asyncio.client import ClientConnection, connect

from medbot import conformance, testing
from medbot.calling import decoded

ROOT = Path(__file__).resolve().parent.parent
RATE, STEP = 16_000, 0.06
SILENCE_DURATION, ENDPOINTING = 0.3, 0.4
BURST = 5
"""Chunks with which a reply begins at once."""
QUIET = bytes(round(RATE * STEP) * 2)
PASSWORD = "correct horse battery"
LIMITS = {f"RATE_LIMIT_{name}": "1000000000" for name in ("PERSON", "ADDRESS", "SIGN_IN")}


def question() -> bytes:
    """A spoken question that ends with its last sound, in whole steps from its start."""
    samples = np.frombuffer(conformance.question(None), dtype=np.int16)
    loud = np.flatnonzero(np.abs(samples) > 500)
    spoken = samples[: loud[-1]].tobytes()
    return bytes(-len(spoken) % len(QUIET)) + spoken


# A bare session


class _In(io.AudioInput):
    def __init__(self) -> None:
        super().__init__(label="bench")
        self.queue = utils.aio.Chan[rtc.AudioFrame]()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.queue.__anext__()


class _Out(io.AudioOutput):
    """Plays nothing: a reply is over when it was given whole."""

    def __init__(self) -> None:
        super().__init__(
            label="bench", sample_rate=24_000, capabilities=io.AudioOutputCapabilities(pause=False)
        )
        self.first, self.given = asyncio.Event(), 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self.given == 0.0:
            self.on_playback_started(created_at=time.time())
        self.given += frame.duration
        self.first.set()

    def flush(self) -> None:
        super().flush()
        if self.given:
            done, self.given = self.given, 0.0
            self.on_playback_finished(playback_position=done, interrupted=False)

    def clear_buffer(self) -> None:
        self.flush()


async def bare_turns(providers: str, spoken: bytes, turns: int) -> list[float]:
    """Seconds from the end of speech to the first frame, of each turn."""
    taken: list[float] = []
    asked: dict[str, Any] = {"base_url": providers, "api_key": "sk-test"}
    async with utils.http_context.open():
        session: AgentSession[None] = AgentSession(
            stt=openai.STT(**asked, model="gpt-4o-mini-transcribe"),
            llm=openai.LLM(**asked, model="gpt-4.1-mini"),
            tts=openai.TTS(**asked, model="gpt-4o-mini-tts", response_format="pcm"),
            vad=inference.VAD(min_silence_duration=SILENCE_DURATION),
            turn_handling={
                "turn_detection": "vad",
                "endpointing": {"min_delay": ENDPOINTING, "max_delay": 2.5},
                "interruption": {"mode": "vad"},
                "preemptive_generation": {"enabled": False},
            },
            aec_warmup_duration=None,
        )
        ears, mouth = _In(), _Out()
        session.input.audio, session.output.audio = ears, mouth
        await session.start(Agent(instructions="Answer."), record=False)
        microphone = asyncio.create_task(_speak(ears, spoken, turns, mouth, taken))
        await microphone
        ears.queue.close()
        await session.aclose()
    return taken


async def _speak(ears: _In, spoken: bytes, turns: int, mouth: _Out, taken: list[float]) -> None:
    due = time.perf_counter()
    for _ in range(turns):
        for piece in [QUIET] * 25 + [
            spoken[at : at + len(QUIET)] for at in range(0, len(spoken), len(QUIET))
        ]:
            ears.queue.send_nowait(rtc.AudioFrame(piece, RATE, 1, len(piece) // 2))
            due += STEP
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        mouth.first.clear()
        ended = time.perf_counter()
        while not mouth.first.is_set():
            ears.queue.send_nowait(rtc.AudioFrame(QUIET, RATE, 1, len(QUIET) // 2))
            due += STEP
            waiting = max(0.0, due - time.perf_counter())
            try:
                await asyncio.wait_for(mouth.first.wait(), waiting)
            except TimeoutError:
                continue
        taken.append(time.perf_counter() - ended)


# A caller of /ws/voice


@dataclass
class Reply:
    """What one reply looked like from outside; seconds from the end of speech."""

    text: float | None = None
    sound: float | None = None
    chunks: list[tuple[float, bytes]] = field(default_factory=list)


@dataclass
class Line:
    """One call: speaks every `every` seconds, listens all the time."""

    socket: ClientConnection
    spoken: Sequence[str]
    replies: list[Reply] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    ended: float = 0.0
    asking: bool = False

    async def read(self) -> None:
        """Notes when each reply's words and sound come."""
        async for data in self.socket:
            now = time.perf_counter()
            message = json.loads(data)
            kind = message["event"]
            if kind == "audio_complete":
                self.done.set()
                self.asking = False
            elif kind in ("assistant_transcript", "audio") and self.asking:
                reply = self.replies[-1]
                if kind == "audio":
                    reply.sound = reply.sound or now - self.ended
                    reply.chunks.append((now, base64.b64decode(message["audio"])))
                else:
                    reply.text = reply.text or now - self.ended

    async def turn(self, quiet: float) -> None:
        """Silence for `quiet` seconds, the question, silence until it was answered."""
        due = time.perf_counter()
        for place in range(round(quiet / STEP) + len(self.spoken)):
            at = place - round(quiet / STEP)
            await self.socket.send(self.spoken[at] if at >= 0 else _SILENT)
            due += STEP
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        self.ended = time.perf_counter()
        self.replies.append(Reply())
        self.asking = True
        self.done.clear()
        async with asyncio.timeout(20):
            while not self.done.is_set():
                await self.socket.send(_SILENT)
                due += STEP
                await asyncio.sleep(max(0.0, due - time.perf_counter()))


def _message(pcm: bytes) -> str:
    return json.dumps({"event": "audio", "audio": base64.b64encode(pcm).decode("ascii")})


_SILENT = _message(QUIET)


@asynccontextmanager
async def call(url: str, token: str, spoken: bytes) -> AsyncIterator[Line]:
    """A call that was greeted."""
    pieces = [_message(spoken[at : at + len(QUIET)]) for at in range(0, len(spoken), len(QUIET))]
    address = f"ws{url.removeprefix('http')}/ws/voice"
    headers = {"authorization": f"Bearer {token}"}
    async with connect(
        address, additional_headers=headers, proxy=None, compression=None, open_timeout=30
    ) as socket:
        line = Line(socket, pieces)
        reading = asyncio.create_task(line.read())
        async with asyncio.timeout(60):
            await line.done.wait()
        yield line
        await socket.close()
        await asyncio.gather(reading, return_exceptions=True)


async def many(url: str, token: str, spoken: bytes, count: int, seconds: float) -> list[Reply]:
    """The replies of `count` calls at once, whose ends of turn are spread over the time."""
    replies: list[Reply] = []

    async def one(place: int) -> None:
        await asyncio.sleep(place * min(0.1, 10 / count))
        async with call(url, token, spoken) as line:
            await line.turn(place * 8 / count)
            line.replies.clear()
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                await line.turn(6)
            replies.extend(line.replies)

    await asyncio.gather(*(one(place) for place in range(count)))
    return replies


# Medbot and its providers


@contextmanager
def providers() -> Iterator[str]:
    """Their address."""
    port = testing.free_ports()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "bench" / "voice_providers.py"), str(port)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")},
    )
    try:
        _wait(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def _wait(url: str) -> None:
    for _ in range(200):
        try:
            httpx.get(url)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"nothing answers at {url}")


@contextmanager
def medbot(cores: int, env: dict[str, str]) -> Iterator[testing.Up]:
    """`medbot up` on so many cores."""
    with tempfile.TemporaryDirectory(prefix="medbot-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for needed in ("database", "library"):
            (folder / needed).symlink_to(ROOT / needed)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(before)[:cores])
        try:
            up = testing.start(folder, testing.free_ports(), {**LIMITS, **env})
        finally:
            os.sched_setaffinity(0, before)
        try:
            up.wait_for("is ready after")
            yield up
        finally:
            up.stop()


def token_of(url: str) -> str:
    """Somebody new."""
    sent = {"email": f"{os.urandom(6).hex()}@example.org", "password": PASSWORD}
    answer = httpx.post(f"{url}/api/v1/auth/register", json=sent)
    return str(answer.json()["session"]["access_token"])


def memory(pid: int) -> tuple[float, float]:
    """PSS and USS of a process, in MB."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0])
    return found["Pss"] / 1024, (found["Private_Clean"] + found["Private_Dirty"]) / 1024


# What is printed


def ms(seconds: Sequence[float | None]) -> str:
    """p50, p95 and the longest, in milliseconds."""
    there = [1000 * one for one in seconds if one is not None]
    if not there:
        return "none"
    p50, p95 = np.percentile(there, [50, 95])
    return f"p50 {p50:6.0f}  p95 {p95:6.0f}  longest {max(there):6.0f} ms  ({len(there)} turns)"


def evenness(replies: Sequence[Reply]) -> str:
    """Gaps that a player would have heard, lateness of chunks, and bytes."""
    late: list[float] = []
    gaps, seconds, size = 0, 0.0, 0
    for reply in replies:
        if not reply.chunks:
            continue
        start, given = reply.chunks[0][0], 0.0
        whole = b"".join(mp3 for _, mp3 in reply.chunks)
        for place, (at, mp3) in enumerate(reply.chunks):
            gaps += at > start + given + 0.001 and given > 0
            if BURST <= place < len(reply.chunks) - 2:
                late.append(at - start - given)
            given += len(mp3) / 6_000  # 48 kbit/s
        seconds += len(decoded(whole)) / 48_000
        size += len(whole)
    off = 1000 * np.abs(np.array(late) - np.median(late))  # the encoder's delay is the same in all
    p50, p95 = np.percentile(off, [50, 95])
    return (
        f"gaps {gaps} in {seconds:.0f} s; {size / seconds / 1000:.2f} kB/s; jitter of chunks: "
        f"p50 {p50:.1f}  p95 {p95:.1f}  longest {off.max():.1f} ms"
    )


async def overhead(url: str, token: str, model: str, spoken: bytes, turns: int) -> None:
    """Ours and the bare session in turns."""
    bare: list[float] = []
    own: list[Reply] = []
    for _ in range(turns // 5):
        bare += await bare_turns(model, spoken, 5)
        async with call(url, token, spoken) as line:
            for _ in range(5):
                await line.turn(1.5)
        own += line.replies
    sound = [one.sound for one in own if one.sound is not None]
    text = [one.text for one in own if one.text is not None]
    print(f"bare session, first frame      {ms(bare)}")
    print(f"/ws/voice, first sound         {ms(sound)}")
    print(f"/ws/voice, first text          {ms(text)}")
    for name, share in (("p50", 50), ("p95", 95)):
        more = 1000 * (np.percentile(sound, share) - np.percentile(bare, share))
        beyond = 1000 * (np.percentile(text, share) - ENDPOINTING)
        print(f"{name}: {more:+.0f} ms over bare; text {beyond:.0f} ms beyond endpointing")
    print(f"MP3: {evenness(own)}")


async def density(
    up: testing.Up, token: str, spoken: bytes, counts: Sequence[int], seconds: float
) -> None:
    """More and more calls at once."""
    floor = 0.0
    base = (0.0, 0.0)
    for count in counts:
        running = asyncio.create_task(many(up.url, token, spoken, count, seconds))
        await asyncio.sleep(min(10.0, count * 0.1) + 12)
        pss, uss = memory(up.process.pid)
        if count == counts[0]:
            base = (pss, uss)
        replies = await running
        sound = [one.sound for one in replies if one.sound is not None]
        p95 = float(np.percentile(sound, 95))
        floor = floor or p95
        each = max(count - counts[0], 1)
        print(
            f"{count:4d} at once: {ms(sound)}  x{p95 / floor:.2f}; PSS {pss:.0f} MB, each more "
            f"{(pss - base[0]) / each:.1f}; USS {(uss - base[1]) / each:.1f} MB"
        )
        print(f"     {evenness(replies)}")


async def main(asked: argparse.Namespace) -> None:
    spoken = question()
    with ExitStack() as stack:
        model = stack.enter_context(providers())
        env = {
            "OPENAI_BASE_URL": model,
            "OPENAI_API_KEY": "sk-test",
            "VOICE_PIPELINE": "offline" if asked.offline else "cascade",
            "VOICE_TURN_DETECTION": "vad",
            "VAD_MIN_SILENCE_DURATION": str(SILENCE_DURATION),
            "VOICE_ENDPOINTING_MIN": str(ENDPOINTING),
            "VOICE_SESSIONS_PER_PERSON": "1000",
            "VOICE_PREWARM": "true",
        }
        up = stack.enter_context(medbot(asked.cores, env))
        token = token_of(up.url)
        print(f"load {os.getloadavg()[0]:.1f}; {asked.cores} cores for Medbot")
        if asked.turns and not asked.offline:
            await overhead(up.url, token, model, spoken, asked.turns)
        await density(up, token, spoken, asked.sessions, asked.seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--sessions", type=int, nargs="*", default=[1, 10, 25, 50, 100])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--offline", action="store_true")
    uvloop.run(main(parser.parse_args()))
