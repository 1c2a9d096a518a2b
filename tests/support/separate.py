"""The services and their database apart from each other, to be started in any order."""

import asyncio
import contextlib
import itertools
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from kit.testing import Addresses, serve
from kit.testing.ports import free_port, free_ports
from medbot import environment, services

SECRET = "the secret that services of a test share"
NAMES = tuple(service.name for service in services.IN_ORDER)


@asynccontextmanager
async def listening(socket_dir: str, port: int) -> AsyncIterator[None]:
    """A PostgreSQL that listens on a unix socket alone, reachable at a port from now on."""

    writers: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside = await asyncio.open_unix_connection(f"{socket_dir}/.s.PGSQL.5432")
        writers.extend((writer, inside[1]))
        await asyncio.gather(_pump(reader, inside[1]), _pump(inside[0], writer))

    server = await asyncio.start_server(carry, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # a transport ends in the loop's next round


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass
class Parts:
    """Where each part of one installation is, whether it has started or not."""

    addresses: Addresses
    data_dir: Path
    first: int = field(default_factory=lambda: free_ports(4))
    database: int = field(default_factory=free_port)
    more: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def port(self, name: str) -> int:
        return self.first + next(one.after for one in services.IN_ORDER if one.name == name)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port(name)}"

    @property
    def socket_dir(self) -> str:
        """Where the database listens in truth."""
        return parse_qs(urlsplit(self.addresses.service).query)["host"][0]

    @property
    def env(self) -> dict[str, str]:
        """What every service is told."""
        parts = urlsplit(self.addresses.service)
        user, name = (parts.username or "").strip(), parts.path
        return {
            "DATABASE_URL": f"postgresql://{user}@127.0.0.1:{self.database}{name}",
            "SERVICE_TOKEN_SECRET": SECRET,
            "DATA_DIR": str(self.data_dir),
            "VOICE_PREWARM": "false",
            **{
                f"{name.upper()}_SERVICE_URL": self.url(name) for name in NAMES if name != "gateway"
            },
            **self.more,
        }

    @asynccontextmanager
    async def started(self, *names: str) -> AsyncIterator[None]:
        """Starts parts in this order, in this process."""
        async with AsyncExitStack() as stack:
            for name in names:
                if name == "database":
                    await stack.enter_async_context(listening(self.socket_dir, self.database))
                    continue
                service = next(one for one in services.IN_ORDER if one.name == name)
                told = {key.lower(): value for key, value in self.env.items()}
                known = {key: told[key] for key in service.reads.model_fields if key in told}
                app = service.build(service.reads.model_validate(known))
                await stack.enter_async_context(serve(app, port=self.port(name)))
            yield

    def run(self, name: str) -> None:
        """Starts a service as a process of its own, as a container does."""
        kept = {k: v for k, v in os.environ.items() if k not in environment.read_here()}
        command = [sys.executable, "-m", "medbot", "serve", name, "--port", str(self.port(name))]
        with (self.data_dir / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env={**kept, **self.env}, stdout=subprocess.DEVNULL, stderr=log
            )

    def told_to_stop(self, *names: str) -> None:
        for name in names:
            self.processes[name].send_signal(signal.SIGTERM)

    async def exit_code(self, name: str) -> int:
        return await asyncio.to_thread(self.processes[name].wait, 40)

    def kill(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    async def ready(self, name: str) -> httpx.Response:
        """What a service says of itself; raises while it does not listen."""
        async with httpx.AsyncClient(trust_env=False) as http:
            return await http.get(f"{self.url(name)}/ready", timeout=5)

    async def all_ready(self, *names: str, within: float) -> None:
        """Waits until each says that it is ready."""
        async with asyncio.timeout(within):
            for name in names:
                while not await self._is_ready(name):
                    await asyncio.sleep(0.1)

    async def _is_ready(self, name: str) -> bool:
        try:
            return (await self.ready(name)).status_code == 200
        except httpx.HTTPError:
            return False

    @asynccontextmanager
    async def visitor(self) -> AsyncIterator[httpx.AsyncClient]:
        """A newcomer with a token, at the gateway."""
        base = {"base_url": self.url("gateway"), "trust_env": False, "timeout": 30}
        async with httpx.AsyncClient(**base) as http:  # type: ignore[arg-type]
            sent = {"email": f"{secrets.token_hex(6)}@example.org", "password": "correct horse"}
            answer = await http.post("/api/v1/auth/register", json=sent)
            assert answer.status_code == 201, answer.text
            token = answer.json()["session"]["access_token"]
            http.headers["authorization"] = f"Bearer {token}"
            yield http


def rows(answer: httpx.Response) -> dict[str, Any]:
    """The rows of a /ready by name."""
    return {row["name"]: row for row in answer.json()["checks"]}


ORDERS = tuple(itertools.permutations(("database", *NAMES)))
