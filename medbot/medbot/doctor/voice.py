"""Checks of voice: how it would hear and speak, and whether there are rooms."""

from collections.abc import AsyncIterator

import httpx

from assistant.llm.environment import plain
from medbot import media
from medbot.doctor.findings import Finding, bad, good, note
from voice_service.rooms.media import AWAY, open_media
from voice_service.sessions import pipelines
from voice_service.settings import Settings

SPEECH = "speech server"
ASK_WITHIN = 10.0
"""Seconds that the speech server has to answer."""


async def examine(settings: Settings, *, probe: bool) -> AsyncIterator[Finding]:
    """The pipelines, the speech server and the media server; `probe` asks SPEECH_BASE_URL and
    LIVEKIT_URL."""
    found = pipelines.configured(settings)
    names = ", ".join(sorted(found.available)) or "none"
    if found.default is None:
        wanted = settings.voice_pipeline or "offline"
        remedy = "set what it needs, or VOICE_PIPELINE; offline voice: `make setup` installs it"
        yield bad("voice", f"{wanted} cannot run here; what can: {names}", remedy)
    else:
        yield good("voice", f"{found.default}; what can run: {names}")
    if settings.speech_base_url is not None:
        yield await _speech(settings, settings.speech_base_url, probe=probe)
    yield await _media(settings, probe=probe)


async def _speech(settings: Settings, address: str, *, probe: bool) -> Finding:
    """An empty order finds out whether the server is there and knows the key; it says nothing."""
    key = plain(settings.openai_api_key)
    if key is None:
        said = f"{address} is asked by nothing: OPENAI_API_KEY is not set"
        remedy = "set it, to anything where the server wants no key, and OPENAI_BASE_URL beside it:"
        return note(SPEECH, said, f"{remedy} questions go to OpenAI else")
    if not probe:
        return good(SPEECH, f"{address}, not asked")
    path = "/audio/transcriptions" if settings.tts_provider == "offline" else "/audio/speech"
    try:
        async with httpx.AsyncClient(timeout=ASK_WITHIN) as http:
            answer = await http.post(
                f"{address}{path}", json={}, headers={"Authorization": f"Bearer {key}"}
            )
    except (UnicodeError, httpx.LocalProtocolError):
        return bad(SPEECH, "OPENAI_API_KEY cannot be sent", "set it in plain ASCII")
    except httpx.HTTPError as error:
        said = f"{address} does not answer ({type(error).__name__})"
        return bad(SPEECH, said, "check SPEECH_BASE_URL")
    if answer.status_code in {401, 403}:
        return bad(SPEECH, f"{address} refuses the key", "check OPENAI_API_KEY")
    if answer.status_code in {404, 405}:
        said = f"there is no {path} below {address}"
        return bad(SPEECH, said, "check SPEECH_BASE_URL, which often ends with /v1")
    if answer.is_server_error:
        return bad(SPEECH, f"{address} answers {answer.status_code}", "see that server's log")
    return good(SPEECH, f"{address} answers")


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
