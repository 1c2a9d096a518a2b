"""What the doctor says of the ports and of the data folder."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import Result

import api_gateway.settings
import auth_service.settings
from conversation_service.settings import Settings
from kit.testing import serve
from kit.testing.ports import free_port, free_ports
from medbot import services
from medbot.doctor import answers, machine
from medbot.doctor.findings import Mark
from medbot.settings import Settings as Own
from medbot.testing import plain

Command = Callable[..., Result]
SECRET = SecretStr("s" * 32)


async def test_services_that_run_by_themselves_are_no_fault(medbot: Command, project: Path) -> None:
    first, away = free_ports(4), f"postgresql://medbot_service:x@127.0.0.1:{free_port()}/medbot"
    (project / ".env.local").write_text(f"PORT={first}\n")
    auth = services.AUTH.build(
        auth_service.settings.Settings(
            database_url=SecretStr(away), service_token_secret=SECRET, drain_seconds=0
        )
    )
    gateway = services.GATEWAY.build(
        api_gateway.settings.Settings(service_token_secret=SECRET, drain_seconds=0)
    )
    async with serve(auth, port=first + 1), serve(gateway, port=first):
        done = await asyncio.to_thread(medbot, "doctor")
    said = plain(done.output)
    assert f"✓ ports {first} (gateway): this service is running" in said
    assert f"✓ ports {first + 1} (auth): this service is running" in said
    assert f"✓ ports {first + 2} (conversation) is free" in said
    assert done.exit_code == 0, done.output


def answering(body: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n"
    return f"{head}{body}".encode()


@asynccontextmanager
async def somebody(port: int, says: bytes) -> AsyncIterator[None]:
    """A program that says this to whoever connects, then more for as long as they listen."""
    talking: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def talk(writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(says)
            while True:
                await writer.drain()
                await asyncio.sleep(0.1)
                writer.write(b"x-more: 1\r\n")

    def come(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking[asyncio.create_task(talk(writer))] = writer

    async with await asyncio.start_server(come, "127.0.0.1", port):
        yield
    for task, writer in talking.items():
        task.cancel()
        writer.transport.abort()
    await asyncio.gather(*talking, return_exceptions=True)


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\n",
        answering("hello"),
        answering("[]"),
        answering('{"status": "ok"}'),
        answering('{"status": "ok", "service": "conversation"}'),
    ],
)
async def test_a_port_of_another_program_is_a_fault(
    medbot: Command, project: Path, says: bytes
) -> None:
    first = free_ports(4)
    (project / ".env.local").write_text(f"PORT={first}\n")
    async with somebody(first + 1, says):
        done = await asyncio.to_thread(medbot, "doctor")
    said = plain(done.output)
    assert f"✗ ports {first + 1} (auth) is taken → stop that program, or set PORT" in said
    assert done.exit_code == 1


def read_only(folder: Path) -> Path:
    """A folder that nobody can make, whoever runs the test."""
    (folder / "taken").write_text("a file")
    return folder / "taken" / "data"


def test_a_data_folder_that_cannot_be_written_is_a_fault_of_the_embedded_database(
    tmp_path: Path,
) -> None:
    found = list(machine.data_folder(Own(data_dir=read_only(tmp_path))))
    assert [finding.mark for finding in found] == [Mark.BAD]


def test_with_a_database_elsewhere_the_data_folder_may_be_read_only(tmp_path: Path) -> None:
    elsewhere = Own(data_dir=read_only(tmp_path), database_url=SecretStr("postgresql://db/medbot"))
    found = list(machine.data_folder(elsewhere))
    assert [finding.mark for finding in found] == [Mark.NOTE]
    assert "offline voice need it" in found[0].said


def test_an_index_that_is_missing_and_cannot_be_built_is_a_fault(tmp_path: Path) -> None:
    there = Settings(data_dir=tmp_path, library_dir=Path(__file__).parents[2] / "library")
    assert list(answers.library(there))[-1].mark is Mark.NOTE
    found = list(answers.library(there.model_copy(update={"data_dir": read_only(tmp_path)})))[-1]
    assert found.mark is Mark.BAD
    assert "cannot be built in DATA_DIR" in found.said
