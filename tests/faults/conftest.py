"""The services in one loop, each to be stopped alone, and somebody who wants to be erased."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from conversing import Person
from house import EMAIL, NAME, WORD, House
from model_server import ModelServer, Pause, Say, Step

from kit.testing import Addresses, serve

SLOW: list[Step] = [step for n in range(100) for step in (Say(f"{WORD} {n} "), Pause(0.05))]


@pytest.fixture(scope="module")
def index_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
async def house(addresses: Addresses, index_dir: Path) -> AsyncIterator[House]:
    made = House(addresses, index_dir)
    model = ModelServer([SLOW])
    async with serve(model.app(), port=made.ports["model"]):
        await made.start("auth", "conversation", "voice")
        yield made
        for name in list(made.running):
            await made.stop(name)


@pytest.fixture
async def will(house: House) -> AsyncIterator[Person]:
    async with house.arrive(EMAIL, NAME) as person:
        yield person
