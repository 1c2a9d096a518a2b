"""Dead letters from the command line."""

from auth_service.administration import actions, letters
from auth_service.administration.letters import DeadLetter
from auth_service.settings import Settings
from medbot import office


async def dead(settings: Settings, queue: str | None, limit: int) -> list[DeadLetter]:
    """Events that no attempt could handle, oldest first."""
    async with office.reading(settings, "events.dead") as record:
        return await letters.page(record.tx, queue=queue, after=0, limit=limit)


async def replay(settings: Settings, letter_ids: list[int]) -> None:
    """Hands dead letters to their queues again.

    Raises:
        NotFound, NotAnEvent
    """
    async with office.open_office(settings) as open_:
        for letter_id in letter_ids:
            await actions.replay(open_.desk, open_.bus, letter_id)
