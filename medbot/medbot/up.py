"""Everything on one machine: the database, then every service on a port of its own, in one loop.

The steps stand in one exit stack, so they are undone the other way round: the gateway stops
taking requests first, the database stops last.
"""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from starlette.types import ASGIApp

from auth_service.settings import Settings as AuthSettings
from kit import background, embedded, migrations, settings
from kit.database import open_database
from kit.errors import DomainError, Misconfigured
from kit.identity import Actor
from medbot import demo, lock, memory, running, services, speaking, terminal
from medbot.settings import Settings
from medbot.terminal import Failed, step

HANDLED = (signal.SIGINT, signal.SIGTERM)

Warming = Callable[[], Awaitable[None]]
"""Returns once voice is warm, which takes longer than all else; raises DomainError."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are for this run."""

    host: str
    port: int
    data_dir: Path

    @property
    def url(self) -> str:
        """The gateway's."""
        shown = "localhost" if self.host in {"127.0.0.1", "0.0.0.0", "::"} else self.host  # noqa: S104
        return f"http://{shown}:{self.port}"

    @property
    def log_file(self) -> Path:
        return self.data_dir / "logs" / "medbot.log"


async def up(chosen: Settings, *, host: str, port: int) -> None:
    """Runs until SIGINT or SIGTERM. The second signal cuts what is still open.

    Raises:
        Misconfigured, Failed: the start is not possible; one line says why.
    """
    started = time.perf_counter()
    place = Place(host, port, chosen.data_dir)
    interrupts = Interrupts()
    with interrupts.caught():
        async with AsyncExitStack() as stack:
            stack.enter_context(lock.held(place.data_dir, place.url))
            with memory.loading():
                warming = await _start(stack, chosen, place)
            _say_ready(place, time.perf_counter() - started)
            await _say_first_session(chosen, place)
            if warming is not None:
                saying = asyncio.create_task(_say_voice(warming, started))
                stack.callback(saying.cancel)
            await stack.enter_async_context(background.running(old_garbage=memory.collecting))
            interrupts.running = True
            await interrupts.asked.wait()
            terminal.out.print("\nStopping: what is being answered may end; Ctrl-C again cuts it.")
    terminal.out.print("Stopped.")


async def _start(stack: AsyncExitStack, chosen: Settings, place: Place) -> Warming | None:
    """Starts everything; the answer is what gets warm after that, if anything does."""
    running.allow_many_connections()
    given = {one.name: settings.load(one.reads) for one in services.IN_ORDER}
    sockets = {one.name: _bind(one.name, place, one.after) for one in services.IN_ORDER}
    for bound in sockets.values():
        stack.callback(bound.close)
    loading = asyncio.ensure_future(_load())
    with step("database") as done:
        url, done.said = await _open_database(stack, chosen)
    told = {
        one.name: services.together(
            given[one.name],
            database_url=url,
            secret=chosen.service_secret(),
            port=place.port,
            log_file=place.log_file,
        )
        for one in services.IN_ORDER
    }
    with step("media server") as done:
        voice, done.said = await speaking.start_media(stack, told[services.VOICE.name])
        told[services.VOICE.name] = voice
    await loading
    apps: dict[str, ASGIApp] = {}
    for one in services.IN_ORDER:
        with step(one.name) as done:
            app = apps[one.name] = one.build(told[one.name])
            await stack.enter_async_context(running.lifespan(app))
            serving = running.serving(app, sockets[one.name], told[one.name])
            await stack.enter_async_context(serving)
            done.said = f"http://127.0.0.1:{place.port + one.after}"
    with step("agent") as done:
        log = place.log_file.with_name("agent.log")
        agent, done.said = await speaking.start_agent(stack, voice, log)
    if agent is None and not voice.voice_prewarm:
        return None
    return lambda: speaking.until_ready(apps[services.VOICE.name], voice, agent)


async def _load() -> None:
    """Imports the services, in threads: together they take some seconds."""
    for one in services.IN_ORDER:
        await asyncio.to_thread(one.warm)


def _bind(name: str, place: Place, after: int) -> socket.socket:
    host, port = place.host if after == 0 else "127.0.0.1", place.port + after
    try:
        return running.bind(host, port)
    except running.PortTaken:
        raise Failed(
            f"port {port} ({name}) is taken by another program: stop that one, or start with "
            f"another first port, as in `PORT={place.port + 1000} make run` or "
            f"`medbot up --port {place.port + 1000}`"
        ) from None


async def _open_database(stack: AsyncExitStack, chosen: Settings) -> tuple[str, str]:
    """The services' address, and what to say of it."""
    if chosen.database_url is None:
        addresses = await stack.enter_async_context(embedded.open_embedded(chosen.data_dir))
        return addresses.service, f"embedded PostgreSQL in {chosen.data_dir / 'postgres'}"
    url = chosen.database_url.get_secret_value()
    await check_migrated(url)
    return url, "DATABASE_URL"


async def check_migrated(service_url: str) -> None:
    """Raises Misconfigured unless the database has the newest schema."""
    remedy = "run `medbot migrate` with DATABASE_DIRECT_URL set"
    try:
        async with (
            open_database(service_url, application="medbot-up", max_size=1) as db,
            db.transaction(Actor.of_service("medbot")) as tx,
        ):
            missing = await migrations.missing(tx)
    except (OSError, asyncpg.CannotConnectNowError) as error:
        raise Misconfigured(
            f"DATABASE_URL: nothing answers there ({type(error).__name__})"
        ) from error
    except asyncpg.PostgresError as error:
        raise Misconfigured(f"DATABASE_URL: the database is not prepared; {remedy}") from error
    if missing:
        raise Misconfigured(f"DATABASE_URL: the database lacks {', '.join(missing)}; {remedy}")


def _say_ready(place: Place, seconds: float) -> None:
    say = terminal.out.print
    say(f"\nMedbot is ready after {seconds:.1f} s. Ctrl-C stops it.\n", style="bold")
    say(f"  API        {place.url}")
    say(f"  documents  {place.url}/docs", soft_wrap=True)
    say(f"  logs       {place.log_file}", soft_wrap=True)


async def _say_voice(warming: Warming, started: float) -> None:
    """Says when the first call would speak at once."""
    try:
        await warming()
    except DomainError as error:
        terminal.out.print(f"\nVoice is not ready: {error.message}")
        return
    memory.settle()
    took = time.perf_counter() - started
    terminal.out.print(f"\nVoice is ready after {took:.1f} s.", style="bold")


async def _say_first_session(chosen: Settings, place: Place) -> None:
    if not chosen.embedded:
        return
    kept = place.data_dir / "demo.json"
    confirming = settings.load(AuthSettings).email_confirmation
    auth_url = f"http://127.0.0.1:{place.port + services.AUTH.after}"
    account = await demo.provide(auth_url, kept, confirming=confirming)
    say = terminal.out.print
    if account is None and confirming:
        say("  account    none: addresses are confirmed; `medbot users create` makes one")
        return
    if account is None:
        say(f"  account    {demo.EMAIL}, with a password that {kept} knows no more", soft_wrap=True)
        return
    say(f"  account    {account.email}  password {account.password}", soft_wrap=True)
    say("\nA first question, to paste into another terminal:\n")
    say(demo.first_session(place.url, account), soft_wrap=True, style="cyan")


class Interrupts:
    """SIGINT and SIGTERM: cancel the start; ask to stop once it runs; then cancel the rest."""

    def __init__(self) -> None:
        self.running = False
        self.asked = asyncio.Event()

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Handles the signals for the current task."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def handle() -> None:
            if self.running and not self.asked.is_set():
                self.asked.set()
            else:
                task.cancel()

        for number in HANDLED:
            loop.add_signal_handler(number, handle)
        try:
            yield
        finally:
            for number in HANDLED:
                loop.remove_signal_handler(number)
