"""The process that joins rooms: `python -m livekit.agents start voice_service/agent/worker.py`.

It is asked for by name, takes jobs by how many it has, and has no login to the database: what is
said goes to the voice service. On SIGTERM it takes no more jobs and lets those it has end.
"""

import asyncio
import gc
import json
from contextlib import AsyncExitStack
from importlib.util import find_spec
from uuid import UUID

from livekit.agents import AgentServer, JobContext, JobProcess

from assistant.llm.environment import plain
from kit import logs, metrics
from kit import settings as kit_settings
from kit.database import utc_now
from kit.errors import Misconfigured
from telemetry import Span, Telemetry
from voice_service.agent import beginning, quiet, resources
from voice_service.agent.link_http import Away, HttpLink, open_http
from voice_service.agent.ports import SessionGone, SessionLost, Transport
from voice_service.agent.readiness import Readiness
from voice_service.agent.resources import LocalVoice
from voice_service.agent.settings import Speaking
from voice_service.agent.supervisor import Supervisor

AGENT_NAME = "medbot"
_log = logs.get(__name__)


def _settings() -> Speaking:
    try:
        return kit_settings.load(Speaking)
    except Misconfigured as error:
        raise SystemExit(str(error)) from None


def _load(running: AgentServer) -> float:
    return min(1.0, len(running.active_jobs) / _configured.voice_agent_max_jobs)


def _configure_logs() -> None:
    """In place of the library's own handler, in the worker's process and in each job's."""
    logs.configure(json_lines=_configured.log_format == "json", keep_pii=_configured.debug)


def _prewarm(process: JobProcess) -> None:
    """Loads the models and the library before a job comes."""
    quiet.keep_quiet()
    _configure_logs()
    resources.prewarm()
    process.userdata["loaded"] = resources.load(_settings())
    gc.freeze()  # a collection during a call does not walk all that was loaded


quiet.keep_quiet()
_configured = _settings()
server = AgentServer(
    load_fnc=_load,
    load_threshold=0.999,
    num_idle_processes=min(2, _configured.voice_agent_max_jobs),
    initialize_process_timeout=120.0,
    drain_timeout=_configured.voice_drain_seconds,
    shutdown_process_timeout=30.0,
    host="127.0.0.1",
    port=0,
    ws_url=_configured.livekit_url,
    api_key=_configured.livekit_api_key,
    api_secret=plain(_configured.livekit_api_secret),
    setup_fnc=_prewarm,
    log_level="INFO",
)


server.on("worker_started", _configure_logs)


@server.rtc_session(agent_name=AGENT_NAME)
async def talk(ctx: JobContext) -> None:
    """One session, from the job to its end."""
    told = json.loads(ctx.job.metadata)
    session_id = UUID(told["session_id"])
    settings = _settings()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Telemetry("agent").exporting(metrics.collector(settings)))
        stack.enter_context(Span("voice session", parent=told.get("traceparent"), root=True))
        http = await stack.enter_async_context(open_http(settings.voice_service_url))
        link = HttpLink(
            http, session_id, secret=settings.service_secret(), job=ctx.job.id, now=utc_now
        )
        try:
            plan = await beginning.learn(link)
        except (SessionLost, Away) as refused:
            _log.warning("job.refused", reason=str(refused))
            await _leave(ctx, "no such session", gone=isinstance(refused, SessionGone))
            return
        local = await _local_voice(stack, settings)
        opened = await stack.enter_async_context(
            resources.open_resources(settings, local, ctx.proc.userdata["loaded"])
        )
        await ctx.connect()
        transport = Transport(room=ctx.room)
        supervisor = Supervisor(plan, link, transport, opened)
        ctx.add_shutdown_callback(lambda: supervisor.end("drained"))
        await supervisor.start()
        reason = await supervisor.closed()
    await _leave(ctx, reason, gone=reason == "conversation_deleted")


async def _leave(ctx: JobContext, reason: str, *, gone: bool) -> None:
    """Ends the job; where nobody knows of the session any more, nobody else closes its room."""
    if gone:
        await ctx.delete_room()
    ctx.shutdown(reason)


def _has_offline() -> bool:
    """Whether the packages of offline voice are installed."""
    return all(find_spec(name) is not None for name in ("pocketsphinx", "espeakng_loader"))


async def _local_voice(stack: AsyncExitStack, settings: Speaking) -> LocalVoice | None:
    if not _has_offline():
        return None
    from voice_service.offline.opening import open_offline

    return await stack.enter_async_context(open_offline(settings))


class _Building:
    """Has the model of offline voice built by the worker's own process: that of a call ends
    with the call, and its building with it."""

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        if _has_offline():
            server.on("worker_started", self._started)

    def _started(self) -> None:
        from voice_service.offline.opening import built

        self._task = asyncio.create_task(built(_configured))


_building = _Building()
_readiness = Readiness(server, _configured.voice_agent_host, _configured.voice_agent_port)
