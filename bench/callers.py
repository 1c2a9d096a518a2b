"""How many callers offline recognition hears at once on two cores, and the memory for each.

    python bench/callers.py [--callers 1 2 4 6 8] [--seconds 30] [--cores 2] [--pause 4]

What each figure holds is written in bench/README.md.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import recognising  # noqa: E402 - tests/support is on the path from here on

from voice_service.offline import building, pool  # noqa: E402

_STEP = 640
_STEP_SECONDS = 0.02
SENTENCES = ROOT / "bench" / "everyday.tsv"


async def call(ear: pool.Ear, said: Sequence[bytes], until: float, pause: float) -> list[float]:
    """Speaks in real time, one sentence after the other; the seconds from each end to its text."""
    waits = []
    for pcm in said:
        ear.start()
        due = time.monotonic()
        for at in range(0, len(pcm), _STEP):
            await ear.feed(pcm[at : at + _STEP])
            due += _STEP_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        ended = time.monotonic()
        await ear.end()
        waits.append(time.monotonic() - ended)
        if time.monotonic() > until:
            break
        await asyncio.sleep(pause)
    return waits


def memory_mb(pid: int) -> float:
    """What a process has for itself alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


async def at_once(model: Path, callers: int, sounds: Sequence[bytes], seconds: float,
                  pause: float) -> tuple[list[float], float]:  # fmt: skip
    """The waits of all callers, and the mean memory of their processes."""
    kept = pool.Pool(model, callers)
    drawn = random.Random(callers)
    until = time.monotonic() + seconds

    async def one(number: int) -> tuple[list[float], float]:
        async with kept.lease() as ear:
            await asyncio.sleep(number * (pause + 3) / callers)
            waits = await call(ear, drawn.sample(sounds, len(sounds)), until, pause)
            return waits, memory_mb(ear.pid)

    try:
        found = await asyncio.gather(*map(one, range(callers)))
    finally:
        await kept.aclose()
    return [wait for waits, _ in found for wait in waits], statistics.mean(mb for _, mb in found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 2, 4, 6, 8])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--pause", type=float, default=4, help="seconds between two sentences")
    wanted = parser.parse_args()
    sentences = recognising.read(SENTENCES)[::3]
    sounds = [
        recognising.speech(one.text, recognising.VOICES[number % 4])
        for number, one in enumerate(sentences)
    ]
    os.sched_setaffinity(0, range(wanted.cores))
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        building.build(ROOT / "library", model)
        print(f"{wanted.cores} cores, load {os.getloadavg()[0]:.1f}, pauses of {wanted.pause:g} s")
        for callers in wanted.callers:
            waits, memory = asyncio.run(
                at_once(model, callers, sounds, wanted.seconds, wanted.pause)
            )
            waits.sort()
            print(
                f"{callers:3} callers: end to text p50 {statistics.median(waits):.2f} s,"
                f" p95 {waits[int(len(waits) * 0.95)]:.2f} s of {len(waits)};"
                f" {memory:.0f} MB each"
            )


if __name__ == "__main__":
    main()
