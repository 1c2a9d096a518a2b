"""A whole Medbot in a folder of its own: `medbot up` as a process, its database, its people."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import offline_model
from conversing import Person

from kit import embedded
from kit.identity import Actor
from kit.testing.ports import free_ports
from medbot import media, testing
from medbot.testing import Up

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"
LEASE = 2.0
"""Seconds for which a reply is leased where a test may kill its writer."""

NO_LIMITS = {f"RATE_LIMIT_{name}": "0" for name in ("PERSON", "ADDRESS", "SIGN_IN")}
"""Every person of a run comes from one address, and some send more than a person would."""

SERVICES = {"gateway": 0, "auth": 1, "conversation": 2, "voice": 3}
"""How far the port of each lies behind the gateway's."""


@dataclass
class Installation:
    """Everything on one machine, to be started, killed and started again on the same ports."""

    project: Path
    port: int = field(default_factory=lambda: free_ports(4))
    env: dict[str, str] = field(default_factory=dict)
    up: Up | None = None
    under: tuple[str, ...] = ()
    """A program that watches it, with arguments."""

    @property
    def url(self) -> str:
        """The gateway's."""
        return self.url_of("gateway")

    def url_of(self, service: str) -> str:
        """Where a service itself listens."""
        return f"http://127.0.0.1:{self.port + SERVICES[service]}"

    @property
    def data_dir(self) -> Path:
        return self.project / ".medbot"

    @property
    def owner_url(self) -> str:
        """The owner's address of the database, over its socket."""
        return embedded.address(self.data_dir / "postgres", "postgres", embedded.DATABASE)

    def begin(self, env: Mapping[str, str] | None = None) -> None:
        """Starts it and waits until it answers; nothing if it runs so already.

        `env` is what it is told; None is what it was told last.
        """
        wanted = self.env if env is None else dict(env)
        if self.up is not None and self.env == wanted:
            return
        self._stop(signal.SIGINT)
        self.env = wanted
        self.up = testing.start(self.project, self.port, NO_LIMITS | wanted, under=self.under)
        try:
            self.up.wait_for("is ready after")
        except AssertionError:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL: nothing of it may tidy up. Its PostgreSQL, another process, lives on."""
        self._stop(signal.SIGKILL)

    def end(self) -> None:
        """Stops it as Ctrl-C does, then whatever a killed one has left."""
        self._stop(signal.SIGINT)
        # It has stopped already, or there never was one: the database is another.
        with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
            self._pg_ctl("-m", "immediate", "stop")

    def stop_database(self, mode: str) -> None:
        """Stops PostgreSQL under the running services; `mode` is pg_ctl's."""
        self._pg_ctl("-m", mode, "stop")

    def start_database(self) -> None:
        """Starts PostgreSQL where the services look for it."""
        folder = self.data_dir / "postgres"
        self._pg_ctl("-l", str(folder / "log"), "-o", f'-h "" -k {folder}', "start")

    async def rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """What the owner of the database reads."""
        connection = await asyncpg.connect(self.owner_url)
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def value(self, query: str, *values: Any) -> Any:
        """The one value that a query answers."""
        return (await self.rows(query, *values))[0][0]

    def _stop(self, number: int) -> None:
        if self.up is not None:
            ended, self.up = self.up, None
            ended.stop(number)
            assert ended.process.stdout is not None
            ended.process.stdout.close()

    def _pg_ctl(self, *words: str) -> None:
        folder = self.data_dir / "postgres"
        root, owner = os.geteuid() == 0, folder.stat()
        command = [str(embedded.programs() / "pg_ctl"), "-w", "-D", str(folder), *words]
        subprocess.run(
            command,
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            user=owner.st_uid if root else None,
            group=owner.st_gid if root else None,
        )


@contextmanager
def installed(*, rooms: bool = False, hearing: bool = False) -> Iterator[Installation]:
    """An installation that has not been started; with `rooms` it has a media server to start, with
    `hearing` the models of offline voice and the library are there already.

    Not under pytest's private folder: as root, the database has a user of its own.
    """
    folder = Path(tempfile.mkdtemp(prefix="medbot-whole-"))
    folder.chmod(0o755)
    for name in ("database", "library"):
        (folder / name).symlink_to(ROOT / name)
    made = Installation(folder)
    if rooms:
        program = media.find(ROOT / ".medbot")
        assert program is not None, "there is no livekit-server: run `make livekit`"
        (made.data_dir / "bin").mkdir(parents=True)
        (made.data_dir / "bin" / media.PROGRAM).symlink_to(program.resolve())
    if hearing:
        offline_model.put_into(made.data_dir)
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)


def spoken(cloud_port: int, **more: str) -> dict[str, str]:
    """What an installation is told that is spoken to: turns end by silence alone, because recorded
    sentences of a synthetic voice sound unfinished to the model of turns."""
    return {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{cloud_port}/v1",
        "VOICE_PIPELINE": "offline",
        "STT_PROVIDER": "offline",
        "VOICE_TURN_DETECTION": "vad",
        "VOICE_PREWARM": "true",
        "VOICE_AGENT_SECONDS": "90",  # one that was killed starts again on a busy machine
        **more,
    }


def fresh_email() -> str:
    """An address that nobody has."""
    return f"{secrets.token_hex(8)}@example.org"


async def sign_up(http: httpx.AsyncClient, email: str | None = None) -> dict[str, Any]:
    """Registers somebody and answers the user with the session."""
    sent = {"email": email or fresh_email(), "password": PASSWORD}
    answer = await http.post("/api/v1/auth/register", json=sent)
    assert answer.status_code == 201, answer.text
    signed_in: dict[str, Any] = answer.json()
    return signed_in


@asynccontextmanager
async def visitor(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx.AsyncClient(
        base_url=base_url, timeout=30, limits=limits, trust_env=False
    ) as http:
        yield http


@asynccontextmanager
async def newcomer(base_url: str) -> AsyncIterator[Person]:
    """Somebody who has just registered, with a client that carries the token."""
    async with visitor(base_url) as http:
        signed_in = await sign_up(http)
        token = signed_in["session"]["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        user = signed_in["user"]
        yield Person(Actor.of_person(UUID(user["id"]), email=user["email"]), http)
