"""Checks of voice: how it would hear and speak, and whether there are rooms."""

from collections.abc import AsyncIterator

from medbot import media
from medbot.doctor.findings import Finding, bad, good, note
from voice_service.rooms.media import AWAY, open_media
from voice_service.sessions import pipelines
from voice_service.settings import Settings


async def examine(settings: Settings, *, probe: bool) -> AsyncIterator[Finding]:
    """The pipelines and the media server; `probe` asks the one of LIVEKIT_URL."""
    found = pipelines.configured(settings)
    names = ", ".join(sorted(found.available)) or "none"
    if found.default is None:
        wanted = settings.voice_pipeline or "offline"
        remedy = "set what it needs, or VOICE_PIPELINE; offline voice: `make setup` installs it"
        yield bad("voice", f"{wanted} cannot run here; what can: {names}", remedy)
    else:
        yield good("voice", f"{found.default}; what can run: {names}")
    yield await _media(settings, probe=probe)


async def _media(settings: Settings, *, probe: bool) -> Finding:
    name = "media server"
    if settings.livekit_url is None:
        program = media.find(settings.data_dir)
        if program is not None:
            return good(name, f"{program}, started by `medbot up`")
        return note(name, "none: voice over WebSockets alone", "`make livekit` builds one")
    if not probe:
        return good(name, f"{settings.livekit_url}, not asked")
    async with open_media(settings) as server:
        assert server is not None
        try:
            await server.ping()
        except AWAY as error:
            said = f"{settings.livekit_url} cannot be used ({type(error).__name__})"
            return bad(name, said, "check LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET")
    return good(name, f"{settings.livekit_url} knows the key")
