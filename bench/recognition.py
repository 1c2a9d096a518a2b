"""How well offline recognition reads sentences, and what it costs.

    python bench/recognition.py [--sentences FILE] [--voices slt,rms,awb,kal16] [--noise 20]
                                [--every 1] [--processes 2] [--one-voice]

FILE is a table whose last two columns are the kind of a sentence and its text, under a heading;
without it the tests' own are read. Every sentence is spoken by each voice of flite,
or with --one-voice by one of them in turn. The model is
built in a new folder first. What each figure holds is written in bench/README.md.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import recognising  # noqa: E402 - tests/support is on the path from here on

from voice_service.offline import building, decoders, hearing  # noqa: E402

_STEP = 640
HELD_OUT = ROOT / "voice-service" / "tests" / "offline" / "held_out.tsv"


@dataclass(frozen=True)
class Job:
    """Sentences for one process and one voice."""

    model: Path
    voice: str
    sentences: Sequence[recognising.Sentence]
    noise_db: float | None


@dataclass(frozen=True)
class Heard:
    """One sentence, and what it cost; seconds."""

    read: recognising.Read
    sure: bool
    audio: float
    cpu: float
    wait: float
    memory_mb: float


def listen(job: Job) -> list[Heard]:
    """Reads each sentence as a caller's first."""
    ears = decoders.Decoders(job.model)
    heard = []
    for sentence in job.sentences:
        pcm = recognising.speech(sentence.text, job.voice, job.noise_db)
        ears.reset()
        began = time.process_time()
        ears.start()
        for at in range(0, len(pcm), _STEP):
            ears.feed(pcm[at : at + _STEP])
        ended = time.perf_counter()
        decoded = ears.end()
        wait = time.perf_counter() - ended
        sure = hearing.confidence(decoded.clarity) >= hearing.SURE
        heard.append(
            Heard(
                recognising.Read(sentence, hearing.written(decoded.text)),
                sure and bool(decoded.text),
                len(pcm) / 2 / recognising.RATE_HZ,
                time.process_time() - began,
                wait,
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            )
        )
    return heard


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sentences", type=Path, default=HELD_OUT)
    parser.add_argument("--voices", default=",".join(recognising.VOICES))
    parser.add_argument("--noise", type=float, action="append", help="dB below the speech")
    parser.add_argument("--every", type=int, default=1, help="take every n-th sentence")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--one-voice", action="store_true", help="a quarter of the time")
    wanted = parser.parse_args()
    sentences = recognising.read(wanted.sentences)[:: wanted.every]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        began = time.perf_counter()
        building.build(ROOT / "library", model)
        print(f"built in {time.perf_counter() - began:.1f} s")
        for noise in (None, *(wanted.noise or ())):
            jobs = divided(model, sentences, noise, wanted)
            with multiprocessing.get_context("spawn").Pool(wanted.processes) as pool:
                heard = [one for part in pool.map(listen, jobs, chunksize=1) for one in part]
            show("clean" if noise is None else f"{noise:g} dB", heard)


def divided(
    model: Path,
    sentences: Sequence[recognising.Sentence],
    noise: float | None,
    wanted: argparse.Namespace,
) -> list[Job]:
    """What each voice says, in parts for the processes."""
    voices = wanted.voices.split(",")
    return [
        Job(model, voice, said[part :: wanted.processes], noise)
        for number, voice in enumerate(voices)
        for said in (sentences[number :: len(voices)] if wanted.one_voice else sentences,)
        for part in range(wanted.processes)
    ]


def show(name: str, heard: Sequence[Heard]) -> None:
    """One table for one kind of sound."""
    print(f"\n{name}: {len(heard)} utterances")
    row("all", heard)
    for kind in dict.fromkeys(one.read.sentence.kind for one in heard):
        row(kind, [one for one in heard if one.read.sentence.kind == kind])
    score = recognising.score([one.read for one in heard])
    print(
        f"emergencies that the gate knows: {score.alarms:.3f} of {score.alarming} are heard as such"
    )
    print(f"false alarms at other sentences: {score.false}")
    good = [one.sure for one in heard if one.read.content]
    bad = [one.sure for one in heard if not one.read.content]
    print(
        f"asked again: {1 - share(good):.2f} of the good, {1 - share(bad):.2f} of the bad hearings"
    )
    audio, cpu = sum(one.audio for one in heard), sum(one.cpu for one in heard)
    waits = sorted(one.wait for one in heard)
    print(
        f"CPU {cpu / audio:.2f} s a second of sound; end to text {statistics.median(waits):.2f} s,"
    )
    most = max(one.memory_mb for one in heard)
    print(f"p95 {waits[int(len(waits) * 0.95)]:.2f} s; {most:.0f} MB at most")


def share(held: Sequence[bool]) -> float:
    """Of none, 0."""
    return sum(held) / len(held) if held else 0.0


def row(name: str, heard: Sequence[Heard]) -> None:
    """Shares of one kind."""
    score = recognising.score([one.read for one in heard])
    print(f"  {name:10} n={score.count:<5} whole {score.whole:.3f}  content {score.content:.3f}")


if __name__ == "__main__":
    main()
