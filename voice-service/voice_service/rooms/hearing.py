"""What rooms say of who comes and goes; told twice or late, it changes nothing more."""

from livekit import api
from livekit.protocol.models import ParticipantInfo

from kit.database import Database
from kit.errors import ServiceUnavailable
from voice_service.rooms.media import AWAY, Media
from voice_service.sessions import actions, store
from voice_service.sessions.actions import ITSELF

COMING = ("room_started", "participant_joined")
CALLERS = (ParticipantInfo.Kind.STANDARD, ParticipantInfo.Kind.SIP)


async def hear(db: Database, media: Media, event: api.WebhookEvent) -> None:
    """The effect of an event on the session of its room, if there is one. A room that was finished
    and made again since, by whoever came back, ends nothing.

    Raises:
        ServiceUnavailable: that cannot be learnt now.
    """
    if event.event == "room_finished" and await _made_again(media, event):
        return
    async with db.transaction(ITSELF) as tx:
        row = await store.by_room(tx, event.room.name)
        if row is None:
            return
        if row.over:
            if event.event in COMING:  # with a token of before: nobody is there any more
                await store.open_room(tx, row.id)
        elif event.event == "participant_joined" and event.participant.kind in CALLERS:
            await store.join(tx, row.id)
        elif event.event == "room_finished":
            await actions.end(tx, row.id, "caller_left")


async def _made_again(media: Media, event: api.WebhookEvent) -> bool:
    try:
        return await media.made_again(event.room.name, event.room.sid)
    except AWAY as error:
        raise ServiceUnavailable from error
