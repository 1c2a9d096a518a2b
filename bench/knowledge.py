"""Measure the library's search: quality, time, memory, size, and a LangChain set-up beside it.

    python bench/knowledge.py [quality] [speed] [peer] [start] [size] [--corpus folder]

The corpus is a folder with `medquad.jsonl.gz` (answers, indexed with their subject as title and
never with their question) and `dev_queries.tsv` (questions, and the answers that are relevant).
Without it quality, speed and peer are passed over. Where it comes from and how each figure is
taken is written in bench/README.md.
"""

import argparse
import csv
import dataclasses
import importlib.metadata
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from assistant.knowledge import encoder, index, lexical
from assistant.knowledge.search import Library
from assistant.knowledge.settings import Chunking, Indexing

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("quality", "speed", "peer", "start", "size")
ANSWERS = "medquad.jsonl.gz"
QUESTIONS = "dev_queries.tsv"
DEPTH = 100  # passages fetched for ten answers: an answer may have many passages
SMALL = Indexing(chunking=Chunking(words=68, tokens=120))  # cuts the corpus to 65,000 and more
KNOWLEDGE = (
    "bm25s", "faiss-cpu", "langchain-core", "langchain-text-splitters", "numpy", "pystemmer",
    "pyyaml", "tokenizers", "wordllama",
)  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """A question and the ids of the answers that answer it."""

    text: str
    relevant: frozenset[str]


def main() -> int:
    """Run the wanted parts that can run, all by default, and print a line a figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--corpus", type=Path, help=f"folder with {ANSWERS} and {QUESTIONS}")
    parser.add_argument("--library", type=Path, default=ROOT / "library")
    parser.add_argument("--work", type=Path, help="keep indexes here instead of in a new folder")
    parser.add_argument("--peer-python", help="a Python with langchain-community and faiss-cpu")
    parser.add_argument("--peer-weights", type=Path, help="folder of all-MiniLM-L6-v2")
    options = parser.parse_args()
    wanted = options.parts or PARTS
    with tempfile.TemporaryDirectory() as fresh:
        work = options.work or Path(fresh)
        runs: dict[str, Callable[[], None]] = {
            "start": partial(start, options.library, work),
            "size": installed_size,
        }
        if options.corpus is not None:
            bench = Bench(options.corpus, work)
            runs |= {
                "quality": bench.quality,
                "speed": bench.speed,
                "peer": partial(bench.peer, options.peer_python, options.peer_weights),
            }
        if without := [name for name in PARTS if name in wanted and name not in runs]:
            needs = f"not run: needs --corpus, a folder with {ANSWERS} and {QUESTIONS}"
            say(", ".join(without), needs)
        for name in PARTS:
            if name in wanted and name in runs:
                runs[name]()
    return 0


class Bench:
    """One run over one corpus; each index is built once."""

    def __init__(self, corpus: Path, work: Path) -> None:
        self.answers = corpus / ANSWERS
        self.judged = list(judged(corpus / QUESTIONS))
        self.work = work
        self.encoder = encoder.WordLlama()

    def opened(self, indexing: Indexing, name: str) -> Library:
        """The corpus' index, built when it is not there."""
        began = time.perf_counter()
        manifest = index.build(self.answers, self.work / name, self.encoder, indexing=indexing)
        took = time.perf_counter() - began
        size = sum(size for _, size in manifest.files) / 1e6
        say(f"index {name}", f"{manifest.passages} passages, {size:.0f} MB, {took:.1f} s to build")
        return index.open_index(self.work / name / manifest.key, self.encoder)

    def quality(self) -> None:
        """nDCG@10 and recall at 5 of the answers, over every question and without capitals."""
        library = self.opened(Indexing(), "whole")
        for name, change in (("as written", str), ("in lower case", str.lower)):
            found = [ranking(library, change(each.text)) for each in self.judged]
            pairs = list(zip(found, self.judged, strict=True))
            gain = statistics.fmean(ndcg(ids, each.relevant) for ids, each in pairs)
            recall = statistics.fmean(recalled(ids[:5], each.relevant) for ids, each in pairs)
            say(f"quality {name}", f"nDCG@10 {gain:.3f}, R@5 {recall:.3f}, {len(pairs)} questions")

    def speed(self) -> None:
        """Milliseconds a search takes at 65,000 passages, one thread, and its parts."""
        graph = self.opened(dataclasses.replace(SMALL, graph_above=1), "graph")
        library = self.opened(SMALL, "small")
        queries = [each.text for each in self.judged[:1000]]
        say("search whole", timed(lambda text: library.search(text), queries))
        say("search whole, graph", timed(lambda text: graph.search(text), queries))
        vectors = {text: self.encoder.encode([text])[0] for text in queries}
        say("  encode", timed(lambda text: self.encoder.encode([text]), queries))
        exact, words = library._vectors, library._words
        say("  vectors, exact", timed(lambda text: exact.search(vectors[text], 100), queries))
        walked = graph._vectors
        say("  vectors, graph", timed(lambda text: walked.search(vectors[text], 100), queries))
        same = [len(np.intersect1d(walked.search(each, 10)[0], exact.search(each, 10)[0])) / 10
                for each in vectors.values()]  # fmt: skip
        say("  graph's recall", f"{statistics.fmean(same):.3f} of the exact ten")
        say("  words, BM25", timed(words.scores, queries))
        say("  split into words", timed(lexical.tokens, queries))

    def peer(self, python: str | None, weights: Path | None) -> None:
        """LangChain's FAISS with MiniLM on the same questions, in turns with ours."""
        if not python or not weights:
            say("peer", "not run: needs --peer-python and --peer-weights")
            return
        library = self.opened(Indexing(), "whole")
        queries = [each.text for each in self.judged[::16]]
        asked = self.work / "queries.json"
        asked.write_text(json.dumps(queries), encoding="utf-8")
        script = str(Path(__file__).with_name("langchain_peer.py"))
        theirs: list[float] = []
        ours: list[float] = []
        for _ in range(2):
            ours += times(lambda text: library.search(text), queries)
            command = [python, "-W", "ignore", script, str(self.answers), str(weights), str(asked)]
            single = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            ran = subprocess.run(command, capture_output=True, check=True, text=True, env=single)
            report = json.loads(ran.stdout)
            theirs += report["milliseconds"]
        say("peer", f"{report['what']}, {report['passages']} passages: {spread(theirs)}")
        say("peer's encoder alone", spread(report["encoder"]))
        say("ours beside it", spread(ours))
        ratio = statistics.median(theirs) / statistics.median(ours)
        say("faster by", f"{ratio:.1f} times at the median")
        alone = statistics.median(theirs) - statistics.median(report["encoder"])
        say("their search alone", f"{alone:.2f} ms at the median, its encoder taken off")


def start(library: Path, work: Path) -> None:
    """From a new process to the first answer from the cards, and its memory."""
    program = (
        "import sys; from pathlib import Path; from assistant.knowledge import index\n"
        "found = index.open_or_build(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "assert found.search('how long does a cold last')\n"
        "print(open('/proc/self/status').read())"
    )
    command = [sys.executable, "-c", program, str(library), str(work / "cards")]
    seconds, memory = [], []
    for _ in range(6):
        began = time.perf_counter()
        ran = subprocess.run(command, capture_output=True, check=True, text=True)
        seconds.append(time.perf_counter() - began)
        peak = re.search(r"VmHWM:\s+(\d+) kB", ran.stdout)
        memory.append(int(peak.group(1)) / 1000 if peak else math.nan)
    say("first start, building", f"{seconds[0]:.2f} s, {memory[0]:.0f} MB at most")
    typical = statistics.median(seconds[1:])
    say("start to first answer", f"{typical:.2f} s, {memory[-1]:.0f} MB at most, median of 5")


def judged(path: Path) -> Iterator[Judged]:
    """The questions of a table with `text` and `relevant_answer_ids`."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield Judged(row["text"], frozenset(re.split(r"[ ,;]+", row["relevant_answer_ids"])))


def ranking(library: Library, query: str) -> list[str]:
    """The ten best answers, each at the place of its best passage."""
    hits = library.search(query, DEPTH)
    return list(dict.fromkeys(hit.passage.document_id for hit in hits))[:10]


def ndcg(found: Sequence[str], relevant: frozenset[str]) -> float:
    """Normalised discounted cumulative gain at ten, gains of 0 and 1."""
    gain = sum(1 / math.log2(at + 2) for at, each in enumerate(found[:10]) if each in relevant)
    return gain / sum(1 / math.log2(at + 2) for at in range(min(10, len(relevant))))


def recalled(found: Sequence[str], relevant: frozenset[str]) -> float:
    """The share of `relevant` that was found."""
    return len(relevant.intersection(found)) / len(relevant)


def times(run: Callable[[str], object], queries: Sequence[str]) -> list[float]:
    """Milliseconds each call took, after some that warm the maps."""
    for text in queries[:50]:
        run(text)
    taken = []
    for text in queries:
        began = time.perf_counter()
        run(text)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def timed(run: Callable[[str], object], queries: Sequence[str]) -> str:
    """The spread of `times`, in words."""
    return spread(times(run, queries))


def spread(taken: Sequence[float]) -> str:
    """Median, 95th and 99th percentile of milliseconds."""
    p50, p95, p99 = np.percentile(taken, [50, 95, 99])
    return f"p50 {p50:.2f} ms, p95 {p95:.2f}, p99 {p99:.2f} ({len(taken)} queries)"


def installed_size() -> None:
    """Megabytes on disk of the packages that the knowledge part needs, and theirs in turn."""
    sizes: dict[str, int] = {}
    waiting = list(KNOWLEDGE)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in sizes:
            continue
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # needed on other platforms only
        paths = (Path(str(each.locate())) for each in found.files or ())
        sizes[name] = sum(path.stat().st_size for path in paths if path.is_file())
        needs = (each for each in found.requires or () if "extra ==" not in each)
        waiting += [match.group() for each in needs if (match := re.match(r"[\w.-]+", each))]
    largest = sorted(sizes.items(), key=lambda each: -each[1])[:5]
    names = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in largest)
    say("installed", f"{sum(sizes.values()) / 1e6:.0f} MB in {len(sizes)} packages ({names})")


def say(name: str, figure: str) -> None:
    """One line of the report."""
    print(f"{name:<24} {figure}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
