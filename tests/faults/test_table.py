"""Every fault under every load, on a plant with all its engines: named errors, nothing lost."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import breaking
import cells
import plant
import pytest
import pytest_asyncio
import using

pytestmark = [pytest.mark.journey, pytest.mark.asyncio(loop_scope="module")]

SAMPLE = {
    ("service killed", "a reply streaming"),
    ("database restarted", "50 readers of events"),
    ("model server dead", "a body of 1 MiB being sent"),
}
TABLE = [
    pytest.param(
        fault,
        kind,
        id=f"{fault.name}, {kind.name}",
        marks=() if (fault.name, kind.name) in SAMPLE else pytest.mark.long,
    )
    for fault in breaking.FAULTS
    for kind in using.LOADS
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd() -> AsyncIterator[using.Crowd]:
    """Ten people of one plant, who outlive the faults."""
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(plant.planted())
        yield await using.gathered(stack, made, 10)


@pytest.mark.parametrize(("fault", "kind"), TABLE)
async def test_cell(crowd: using.Crowd, fault: breaking.Fault, kind: type) -> None:
    outcome = await cells.run(crowd, fault, kind)
    print(outcome.row())  # noqa: T201 what was seen belongs to the report of a failure
    assert outcome.lost == 0
    assert not outcome.unnamed()
