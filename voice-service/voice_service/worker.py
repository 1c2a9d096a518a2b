"""What the service does unasked: consume events, miss agents, end what is over, close rooms."""

from collections.abc import Awaitable, Callable

from contracts.events import Envelope
from kit import background
from kit.backbone import Backbone
from kit.database import utc_now
from kit.identity import Actor
from privacy import retention
from voice_service import consumers
from voice_service.rooms.media import Media
from voice_service.sessions.reaper import Limits, Reaper
from voice_service.settings import Settings

QUEUE = "voice"
ITSELF = Actor.of_service("voice")
SWEEP_EVERY = 1.0


def tasks(
    backbone: Backbone, settings: Settings, media: Media | None
) -> dict[str, Callable[[], Awaitable[None]]]:
    """Background tasks by name."""
    limits = Limits(lost=settings.voice_lost_seconds, agent=settings.voice_agent_seconds)
    reaper = Reaper(backbone.db, media, limits)

    async def handle(envelope: Envelope) -> None:
        await consumers.handle(backbone.db, envelope)

    async def consume() -> None:
        await backbone.bus.consume(QUEUE, handle)

    async def sweep() -> None:
        await background.every(SWEEP_EVERY, reaper.sweep)

    async def let_go() -> None:
        await retention.daily(backbone.db, ITSELF, settings.retained(), utc_now)

    return {"consume": consume, "sweep": sweep, "retention": let_go}
