"""How soon speech is answered, how many can speak at once, how evenly the sound goes out.

    python bench/voice.py [--turns 20] [--sessions 1 10 25 50] [--seconds 30] [--offline]

One Medbot runs as `medbot up` does; its providers are a process on the loopback that answers at
once. A bare AgentSession uses the same providers in turns with it. What each figure holds is
written in bench/README.md.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import uvloop
import voice_stage
from voice_bare import ENDPOINTING, SILENCE_DURATION, bare_turns, question, with_last_sound
from voice_calls import MADE_WITHIN, PERIOD, Reply, call, many

from medbot import testing
from medbot.calling import decoded

sys.path.insert(0, str(voice_stage.ROOT / "tests" / "support"))

import recognising

DANGER = "I have a terrible pain in my chest"
BURST = 5
"""Chunks with which a reply begins at once."""


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
    for _ in range(-(-turns // 5)):
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


async def alarms(url: str, token: str, turns: int) -> None:
    """How soon words of safety begin, after the last word of what is dangerous."""
    spoken = with_last_sound(recognising.speech(DANGER, "slt"))
    sound: list[float | None] = []
    for _ in range(turns):
        async with call(url, token, spoken) as line:  # the same alarm is not said twice in a call
            await line.turn(1.0, within=90)
            sound += [one.sound for one in line.replies]
    print(f"alarm, first sound             {ms(sound)}")


async def density(
    up: testing.Up, token: str, spoken: bytes, counts: Sequence[int], seconds: float
) -> None:
    """More and more calls at once."""
    floor = 0.0
    base = (0.0, 0.0)
    for count in counts:
        running = asyncio.create_task(many(up.url, token, spoken, count, seconds))
        await asyncio.sleep(MADE_WITHIN + PERIOD + seconds / 4)
        before, since = voice_stage.worked(up.process.pid), time.perf_counter()
        await asyncio.sleep(seconds / 2)
        busy = (voice_stage.worked(up.process.pid) - before) / (time.perf_counter() - since)
        pss, uss = voice_stage.memory(up.process.pid)
        if count == counts[0]:
            base = (pss, uss)
        calls = await running
        sound = [one.sound for one in calls.replies if one.sound is not None]
        if not sound:
            print(f"{count:4d} at once: no answers; {calls.refused} refused, {calls.broken} broke")
            return
        p95 = float(np.percentile(sound, 95))
        floor = floor or p95
        each = max(count - counts[0], 1)
        print(
            f"{count:4d} at once: {ms(sound)}  x{p95 / floor:.2f}; "
            f"{calls.refused} refused, {calls.broken} broke; "
            f"{100 * busy:.0f} % of a core; PSS {pss:.0f} MB, each more "
            f"{(pss - base[0]) / each:.1f}; USS {(uss - base[1]) / each:.1f} MB"
        )
        print(f"     {evenness(calls.replies)}", flush=True)


async def main(asked: argparse.Namespace) -> None:
    spoken = question()
    with ExitStack() as stack:
        model = stack.enter_context(voice_stage.providers())
        env = {
            "OPENAI_BASE_URL": model,
            "OPENAI_API_KEY": "sk-test",
            "VOICE_PIPELINE": "offline" if asked.offline else "cascade",
            "VOICE_TURN_DETECTION": "vad",
            "VAD_MIN_SILENCE_DURATION": str(SILENCE_DURATION),
            "VOICE_ENDPOINTING_MIN": str(ENDPOINTING),
            "VOICE_SESSIONS_PER_PERSON": "1000",
            "VOICE_PREWARM": "true",
            "VOICE_TIMEOUT": "600",
        }
        up = stack.enter_context(voice_stage.medbot(asked.cores, env))
        token = voice_stage.token_of(up.url)
        print(f"load {os.getloadavg()[0]:.1f}; {asked.cores} cores for Medbot")
        if asked.turns and asked.offline:
            await alarms(up.url, token, asked.turns)
        elif asked.turns:
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
