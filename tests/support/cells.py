"""One fault under one load: what people see, how long until all is well, what is missing."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from breaking import Fault
from plant import SERVES
from using import LOADS, WELL_WITHIN, Crowd, taken_back

PASSING = ("complete reply", "stream ended")
"""What is seen that is no trouble: a screen whose stream has ended comes again by itself."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Seconds from the moment the fault began to end: until every service was `ready`, and until
    people had what they wanted. `lost` counts what is missing or there twice."""

    fault: str
    load: str
    seen: Counter[str]
    ready: float
    well: float
    lost: int

    def unnamed(self) -> list[str]:
        """What people saw and should not: a fault of ours, or a refusal without a name."""
        return [what for what in self.seen if what.startswith("500 ") or "unnamed" in what]

    def row(self) -> str:
        """As a line of the table."""
        seen = ", ".join(f"{what} × {many}" for what, many in sorted(self.seen.items()))
        cells = (self.fault, self.load, seen or "nothing", f"{self.ready:.1f}", f"{self.well:.1f}")
        return f"| {' | '.join(cells)} | {self.lost or 'nothing'} |"


async def run(crowd: Crowd, fault: Fault, kind: type) -> Outcome:
    """Begins the load, then the fault; ends the fault and waits until all is well."""
    await _ready(crowd)
    await taken_back(crowd)
    load = kind(crowd)
    await load.begin()
    crowd.seen()
    began = time.monotonic()
    await fault.begin(crowd.plant)
    await load.meet()
    await asyncio.sleep(fault.lasts - (time.monotonic() - began))
    ends = time.monotonic()
    await fault.end(crowd.plant)
    ready = asyncio.create_task(_ready(crowd))
    async with asyncio.timeout(WELL_WITHIN):
        await load.recover()
    well = time.monotonic() - ends
    lost = await load.lost()
    return Outcome(fault.name, load.name, crowd.seen(), await ready - ends, well, lost)


async def _ready(crowd: Crowd) -> float:
    """When every service was ready, on the monotonic clock."""
    await asyncio.gather(*(crowd.plant.ready(service) for service in SERVES))
    return time.monotonic()


HEADER = (
    "| fault | load | what people saw | parts ready, s | all well, s | lost |\n"
    "| --- | --- | --- | ---: | ---: | --- |"
)


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown, in the order given."""
    return "\n".join([HEADER, *(outcome.row() for outcome in outcomes)])


def kinds() -> dict[str, type]:
    """The loads by name."""
    return {kind.name: kind for kind in LOADS}
