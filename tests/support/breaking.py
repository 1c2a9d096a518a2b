"""Faults that befall a plant: how each begins, for how long it lasts, how it ends."""

import asyncio
import resource
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from plant import Plant

CARDS = 20
INDEX_BYTES = 64 * 1024
"""The largest file where the disk is full; an index of a few cards has larger ones."""

INDEXED_WITHIN = 150.0
"""Seconds until an instance has tried to make its index; a coarse bound."""

AHEAD = 7200
"""Seconds by which the clock jumps: longer than an access token lives."""

Step = Callable[[Plant], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Fault:
    """`lasts` is for how many seconds at least nothing is mended.

    What `end` does is part of the recovery: a service that was killed has to start.
    """

    name: str
    begin: Step
    end: Step
    lasts: float


async def _nothing(_: Plant) -> None:
    """It ends by itself."""


async def _kill(plant: Plant) -> None:
    await plant.end("conversation", signal.SIGKILL)


async def _start_again(plant: Plant) -> None:
    plant.start("conversation")


async def _restart_database(plant: Plant) -> None:
    await asyncio.to_thread(plant.restart_database)


async def _slow_down(plant: Plant) -> None:
    plant.database.delay = 5.0


async def _speed_up(plant: Plant) -> None:
    plant.database.delay = 0.0


async def _stop_broker(plant: Plant) -> None:
    await asyncio.to_thread(plant.broker.stop)


async def _start_broker(plant: Plant) -> None:
    await asyncio.to_thread(plant.broker.start)


async def _kill_redis(plant: Plant) -> None:
    await plant.end("redis", signal.SIGKILL)


async def _start_redis(plant: Plant) -> None:
    plant.start_redis()


async def _kill_models(plant: Plant) -> None:
    await plant.models.die()


async def _start_models(plant: Plant) -> None:
    await plant.models.start()


async def _hang_models(plant: Plant) -> None:
    plant.models.hang()


async def _wake_models(plant: Plant) -> None:
    plant.models.go_on()


async def _new_release_on_a_full_disk(plant: Plant) -> None:
    """A second instance comes with a library that nobody has indexed, and has no room for that."""
    before = len(list(plant.folder.glob("newer-library-*")))
    cards = plant.folder / f"newer-library-{before}"
    cards.mkdir()
    for card in sorted((plant.folder / "library").glob("*.md"))[: CARDS + before]:
        (cards / card.name).symlink_to(card.resolve())
    plant.start(
        "conversation", name="newer", env={"LIBRARY_DIR": str(cards)}, largest_file=INDEX_BYTES
    )
    async with asyncio.timeout(INDEXED_WITHIN):
        while "OSError" not in plant.log_of("newer").read_text():
            await asyncio.sleep(0.1)


async def _room_is_made(plant: Plant) -> None:
    """It takes up its work by itself, and leaves again; the first was there all the time."""
    newer = plant.running["newer"]
    resource.prlimit(newer.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    await plant.ready("newer")
    await plant.end("newer")
    plant.log_of("newer").unlink()


async def _clock_ahead(plant: Plant) -> None:
    plant.move_clock(AHEAD)
    await asyncio.sleep(1.5)


async def _clock_back(plant: Plant) -> None:
    plant.move_clock(0)
    await asyncio.sleep(1.5)


FAULTS = (
    Fault("service killed", _kill, _start_again, lasts=1.0),
    Fault("database restarted", _restart_database, _nothing, lasts=0.0),
    Fault("database slow by 5 s", _slow_down, _speed_up, lasts=12.0),
    Fault("broker down", _stop_broker, _start_broker, lasts=3.0),
    Fault("Redis down", _kill_redis, _start_redis, lasts=3.0),
    Fault("model server dead", _kill_models, _start_models, lasts=4.0),
    Fault("model server hanging", _hang_models, _wake_models, lasts=24.0),
    Fault("disk full for the index", _new_release_on_a_full_disk, _room_is_made, 0.0),
    Fault("clock moved by 2 h, and back", _clock_ahead, _clock_back, lasts=3.0),
)
