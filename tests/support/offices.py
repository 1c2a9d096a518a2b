"""An instance of the conversation service that asks a scripted model, and what its caps count."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from conversing import Person
from model_server import ModelServer

from conversation_service.usage.budget import BASE_CHARACTERS
from kit.testing import Served

QUESTION = "What helps with a headache?"
NOTICE = "This answer comes straight from the library, because today's limit"
USAGE = "/api/v1/admin/usage"

# The scripted model says that it took 11 and 7 tokens; with these prices that is 18 dollars.
DEAR = {"cost_prompt_usd": 1_000_000 / 1_000, "cost_completion_usd": 1_000.0}
TOOK = 18 * 1_000


class Office:
    """An instance that asks a scripted model, and what its database holds."""

    def __init__(self, served: Served, model: ModelServer, owner: Any) -> None:
        self.served = served
        self.model = model
        self.owner = owner

    async def spent(self) -> int:
        """Millionths of a dollar that are gone of the installation's cap."""
        found: int | None = await self.owner.fetchval(
            "select micro_usd from medbot.spending"
            " where owner_id = '00000000-0000-0000-0000-000000000000'"
        )
        return found or 0

    async def counted(self, what: str = "sum(micro_usd)") -> int:
        return int(await self.owner.fetchval(f"select {what} from medbot.usage") or 0)


Open = Callable[..., Awaitable[Office]]


def aside(price: float = 1_000.0, *, rounds: int = 3) -> int:
    """What is set aside at least for a reply to a short question."""
    return int(rounds * (BASE_CHARACTERS / 3 * price + 1200 * price))


async def titled(person: Person, path: str) -> str:
    """The title, as soon as there is one."""
    async with asyncio.timeout(15):
        while not (title := (await person.http.get(path)).json()["title"]):
            await asyncio.sleep(0.05)
    return str(title)
