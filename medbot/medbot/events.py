"""Dead letters from the command line."""

from collections.abc import Callable, Iterable

from auth_service.administration import actions, letters
from auth_service.administration.letters import DeadLetter
from auth_service.settings import Settings
from kit.errors import DomainError, ServiceUnavailable
from medbot import office
from medbot.terminal import Failed


async def dead(settings: Settings, queue: str | None, limit: int) -> list[DeadLetter]:
    """Events that no attempt could handle, oldest first."""
    async with office.reading(settings, "events.dead") as record:
        return await letters.page(record.tx, queue=queue, after=0, limit=limit)


async def replay(
    settings: Settings, letter_ids: Iterable[int], tell: Callable[[int, str | None], None]
) -> None:
    """Hands dead letters to their queues again, each once; tells of each what kept it from that.

    Raises:
        Failed: the queues cannot be reached; those that were told of are done.
    """
    async with office.open_office(settings) as open_:
        for letter_id in dict.fromkeys(letter_ids):
            try:
                await actions.replay(open_.desk, open_.bus, letter_id)
            except ServiceUnavailable as away:
                raise Failed(f"{letter_id} was not replayed: {away.message}") from None
            except DomainError as refused:
                tell(letter_id, refused.message)
            else:
                tell(letter_id, None)
