"""A Medbot at scale on one machine: each service a process, and every engine it can have.

PostgreSQL and the model stand behind proxies of the test; RabbitMQ and Redis are real processes.
"""

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from installation import LEASE, ROOT
from model_server import ModelServer
from proxy import Proxy, Streams, proxied

from kit import embedded
from kit.testing import rabbitmq, serve
from kit.testing.ports import free_port
from medbot import environment

SERVES = ("auth", "conversation", "voice", "gateway")
READY_WITHIN = 150.0
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
"""Debian's; it moves the clock of those processes alone that are started with it."""

MANY = {f"RATE_LIMIT_{name}": "1000000" for name in ("PERSON", "ADDRESS", "SIGN_IN")}
"""Limits that are counted, in Redis, and never reached."""


@dataclass
class Plant:
    """Everything that runs, by name; whoever stops something starts it again."""

    folder: Path
    env: dict[str, str]
    model: ModelServer
    database: Proxy
    models: Proxy
    broker: rabbitmq.Broker
    redis_port: int
    ports: dict[str, int]
    sockets: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The gateway's."""
        return self.url_of("gateway")

    def url_of(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def log_of(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def start(
        self, service: str, *, name: str = "", env: Mapping[str, str] | None = None,
        largest_file: int | None = None,
    ) -> None:  # fmt: skip
        """Starts a service without waiting; with `largest_file` it can write no larger one."""

        def confine() -> None:
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))

        name = name or service
        with self.log_of(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "medbot", "serve", service, "--port",
                 str(self.ports[name]), "--drain", "3"],
                cwd=self.folder,
                env={**self.env, **(env or {})},
                stdout=log,
                stderr=log,
                preexec_fn=confine,
            )  # fmt: skip

    def start_redis(self) -> None:
        """Starts Redis without waiting."""
        program = shutil.which("redis-server")
        assert program is not None, "Debian's redis-server must be installed"
        self.running["redis"] = subprocess.Popen(
            [program, "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", ""],
            stdout=subprocess.DEVNULL,
        )

    async def end(self, name: str, number: int = signal.SIGTERM) -> int:
        """Sends a signal to what runs under `name`, and its exit status."""
        process = self.running.pop(name)
        process.send_signal(number)
        return await asyncio.to_thread(process.wait, 30)

    async def ready(self, name: str) -> None:
        """Waits until a service can do its work."""
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(READY_WITHIN):
            while True:
                process = self.running[name]
                assert process.poll() is None, self.log_of(name).read_text()[-2000:]
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{self.url_of(name)}/ready")).status_code == 200:
                        return
                await asyncio.sleep(0.05)

    def restart_database(self) -> None:
        """Stops PostgreSQL as a power cut does, and starts it again."""
        data = self.folder / "data" / "postgres"
        owner, root = data.stat(), os.geteuid() == 0
        for words in (
            ["-m", "immediate", "stop"],
            ["-l", str(data / "log"), "-o", f'-h "" -k {self.sockets}', "start"],
        ):
            subprocess.run(
                [str(embedded.programs() / "pg_ctl"), "-w", "-D", str(data), *words],
                check=True,
                cwd=data,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=60,
                user=owner.st_uid if root else None,
                group=owner.st_gid if root else None,
            )

    def move_clock(self, seconds: int) -> None:
        """Sets the services' clock ahead of the true one by so much; it takes a second."""
        (self.folder / "clock").write_text(f"{seconds:+d}")

    async def rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """What the owner of the database reads, past the proxy."""
        connection = await asyncpg.connect(
            embedded.address(self.sockets, "postgres", embedded.DATABASE)
        )
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()


@asynccontextmanager
async def planted() -> AsyncIterator[Plant]:
    """A plant that runs and is ready. Not in a private folder: as root, PostgreSQL has a user of
    its own."""
    folder = _folder()
    try:
        async with AsyncExitStack() as stack:
            plant = await _plant(stack, folder)
            stack.push_async_callback(_end_all, plant)
            plant.start_redis()
            for name in SERVES:
                plant.start(name)
            for name in SERVES:
                await plant.ready(name)
            yield plant
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="medbot-plant-"))
    folder.chmod(0o755)
    for name in ("database", "library"):
        (folder / name).symlink_to(ROOT / name)
    return folder


async def _plant(stack: AsyncExitStack, folder: Path) -> Plant:
    data = folder / "data"
    await stack.enter_async_context(embedded.open_embedded(data))
    sockets = data.resolve() / "postgres"
    model = ModelServer([])
    served = await stack.enter_async_context(serve(model.app()))

    async def to_database() -> Streams:
        return await asyncio.open_unix_connection(str(sockets / ".s.PGSQL.5432"))

    async def to_model() -> Streams:
        return await asyncio.open_connection("127.0.0.1", served.port)

    database = await stack.enter_async_context(proxied(to_database))
    models = await stack.enter_async_context(proxied(to_model))
    running = rabbitmq.running_broker()
    broker = await asyncio.to_thread(running.__enter__)
    stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
    ports = {name: free_port() for name in (*SERVES, "newer")}
    (folder / "clock").write_text("+0")
    redis_port = free_port()
    env = _env(folder, ports, database.port, models.port, broker.url, redis_port)
    return Plant(folder, env, model, database, models, broker, redis_port, ports, sockets)


def _env(
    folder: Path, ports: Mapping[str, int], database: int, models: int, broker: str, redis: int
) -> dict[str, str]:
    here = {key: value for key, value in os.environ.items() if key not in environment.read_here()}
    told = {
        "DATABASE_URL": f"postgresql://{embedded.SERVICE_LOGIN}:x@127.0.0.1:{database}/medbot",
        "DATA_DIR": str(folder / "data"),
        "RABBITMQ_URL": broker,
        "REDIS_URL": f"redis://127.0.0.1:{redis}/0",
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{models}/v1",
        "SERVICE_TOKEN_SECRET": "s" * 40,
        "REPLY_LEASE_SECONDS": str(LEASE),
        "VOICE_PREWARM": "false",  # a fork may find the lock taken of the library that moves clocks
    }
    addresses = {
        f"{name.upper()}_SERVICE_URL": f"http://127.0.0.1:{ports[name]}"
        for name in ("auth", "conversation", "voice")
    }
    assert FAKETIME, "Debian's faketime must be installed"
    clock = {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return here | told | addresses | MANY | clock


async def _end_all(plant: Plant) -> None:
    for name in list(plant.running):
        await plant.end(name, signal.SIGKILL)
