"""A real RabbitMQ on the loopback, started once a test process and only when a test asks."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aio_pika

from kit.bus.rabbitmq_queues import EXCHANGE
from kit.testing import bus as suite
from kit.testing.ports import free_port

PROGRAM = "rabbitmq-server"
STARTS_WITHIN = 60.0


class Broker:
    """One node with its own folder, ports and name."""

    def __init__(self, folder: Path) -> None:
        self._node = f"medbot-{secrets.token_hex(4)}@localhost"
        self._port, dist = free_port(), free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}/"
        self._log, self._pid = folder / "out.txt", folder / "mnesia" / f"{self._node}.pid"
        for name in ("mnesia", "log"):
            (folder / name).mkdir()
        if os.geteuid() == 0:  # the wrapper of the program drops to this user
            subprocess.run(["chown", "-R", "rabbitmq", folder], check=True)
        self._environment = {
            **os.environ,
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def start(self) -> None:
        """Starts the node and waits until it takes connections."""
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [PROGRAM], env=self._environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while not _answers(self._port):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{PROGRAM} did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.1)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It keeps its connections and answers nothing while the block lasts."""
        pid = int(self._pid.read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stops the node; what is durable stays in its folder."""
        subprocess.run(
            ["rabbitmqctl", "-q", "-n", self._node, "stop"],
            env=self._environment,
            check=True,
            capture_output=True,
        )
        self._process.wait()


@contextmanager
def running_broker() -> Iterator[Broker]:
    """A broker for as long as the block lasts; Debian's `rabbitmq-server` must be installed."""
    folder = Path(tempfile.mkdtemp(prefix="medbot-rabbitmq-"))
    folder.chmod(0o755)
    broker = Broker(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def forget_queues(url: str) -> None:
    """Deletes the suite's queues, so that the next test finds none of its messages."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        name = f"{EXCHANGE}.{suite.QUEUE}"
        for queue in (name, f"{name}.dead", f"{name}.again.50"):
            await channel.queue_delete(queue)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
