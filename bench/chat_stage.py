"""What the benchmarks of chat stand on: an installation, a model that answers at once, a wire."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.testing.ports import free_ports
from medbot import environment, testing

HERE = Path(__file__).resolve().parent
NO_LIMITS = {f"RATE_LIMIT_{name}": "10000000" for name in ("PERSON", "ADDRESS", "SIGN_IN")}
"""Requests are counted, and nobody ever reaches the limit."""
ROOT = HERE.parent
IDLE_AFTER = 1.0
FIRST_CHARACTER = b"event: delta"
ELSEWHERE = {"DATABASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "GROK_API_KEY", "GROQ_API_KEY"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; seconds from the last byte sent, `marked` until the marker was read."""

    status: int
    body: bytes
    marked: float
    whole: float


class Wire:
    """One kept HTTP/1.1 connection; no client library, so that none is measured.

    After a pause it is opened anew, before the clock starts: servers close idle ones.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def ask(
        self, method: str, path: str, token: str = "", body: object = None, **headers: str
    ) -> Answer:
        """Sends a request and reads its answer to the end."""
        reader, writer = await self._opened()
        sent = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{self._port}"]
        lines += [f"content-type: application/json\r\ncontent-length: {len(sent)}"] if sent else []
        lines += [f"authorization: Bearer {token}"] if token else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        started = time.perf_counter()
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + sent)
        answer = await _read(reader, started)
        self._used = time.perf_counter()
        return answer

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None or time.perf_counter() - self._used > IDLE_AFTER:
            self.close()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def _read(reader: asyncio.StreamReader, started: float) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = head.lower()
    body, marked = bytearray(), 0.0
    length = int(fields.partition(b"content-length:")[2].split(b"\r\n")[0] or -1)
    while len(body) != length and not (length < 0 and body.endswith(b"\r\n0\r\n\r\n")):
        if not (part := await reader.read(65_536)):
            raise SystemExit("the connection was closed within an answer")
        body += part
        if not marked and FIRST_CHARACTER in body:
            marked = time.perf_counter() - started
    return Answer(int(head.split()[1]), bytes(body), marked, time.perf_counter() - started)


def created(answer: Answer) -> dict[str, Any]:
    if answer.status != 201:
        raise SystemExit(f"nothing was made: {answer.status} {answer.body!r}")
    made: dict[str, Any] = json.loads(answer.body)
    return made


@contextmanager
def installed(folder: Path, **env: str) -> Iterator[testing.Up]:
    """An installation of its own; the folder is open, since PostgreSQL may have another user."""
    folder.mkdir()
    folder.chmod(0o755)
    up = testing.start(ROOT, free_ports(4), {**NO_LIMITS, **env, "DATA_DIR": str(folder)})
    try:
        up.wait_for("is ready")
        yield up
    finally:
        up.stop()


@contextmanager
def instant_model(pace: float = 0.0) -> Iterator[str]:
    """The address of a model server in a process of its own; `pace` is seconds before a word."""
    port = free_ports(4)
    process = subprocess.Popen(
        [
            sys.executable, "-m", "uvicorn", "chat_model:app", "--app-dir", str(HERE),
            "--port", str(port), "--no-access-log", "--log-level", "error", "--lifespan", "off",
        ],
        env={**os.environ, "PACE": str(pace)},
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)


def refuse_other_settings() -> None:
    """Ends where a file of settings names another database or model than the benchmark's own."""
    for path in environment.files():
        if named := ELSEWHERE.intersection(map(str.upper, environment.names_in(path))):
            raise SystemExit(f"bench: take {', '.join(sorted(named))} out of {path} first")
