"""What goes over the network, as the kernel sees it: nothing beyond this machine."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest
from callers import Way, call
from installation import Installation, installed, newcomer, spoken
from providers import Cloud

from kit.testing import serve
from kit.testing.ports import free_port

pytestmark = pytest.mark.journey

QUESTION = "what are the symptoms of diabetes"
ANSWER = "Thirst, tiredness, and weight that goes down."
CALLS = ("connect(", "sendto(", "sendmsg(", "sendmmsg(")
ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
UDP_CONNECT = re.compile(r"connect\(\d+<UDP")
PEER = re.compile(r"\(\d+<(?:UDP|TCP)(?:v6)?:\[[^>]*->(.+):(\d+)\]>")
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
DOMAIN_NAMES = 53


@contextmanager
def watched(*, rooms: bool, env: dict[str, str]) -> Iterator[tuple[Installation, Path]]:
    """An installation that runs, and the file of all its calls on the network, its children's
    too, from its start on."""
    strace = shutil.which("strace")
    assert strace is not None, "strace is needed: apt-get install strace"
    with tempfile.TemporaryDirectory() as folder, installed(rooms=rooms, hearing=True) as house:
        log = Path(folder) / "network"
        house.under = (
            strace, "-D", "-f", "-qq", "-yy", "--seccomp-bpf", "-e", "trace=network",
            "-e", "signal=none", "-o", str(log),
        )  # fmt: skip
        house.begin(env)
        yield house, log


def sent_to(log: Path) -> set[tuple[str, int]]:
    """Where anything was sent or connected to over IP.

    To connect a UDP socket sends nothing: WebRTC does so to learn which way this machine would go.
    What is sent over such a socket names its peer, and counts.
    """
    found = set()
    for line in log.read_text(errors="replace").splitlines():
        if not any(name in line for name in CALLS):
            continue
        if (address := ADDRESS.search(line)) and not UDP_CONNECT.search(line):
            port = PORT.search(line)
            found.add((address[1] or address[2], int(port[1]) if port else 0))
        elif (peer := PEER.search(line)) and "connect(" not in line:
            found.add((peer[1].strip("[]"), int(peer[2])))
    return found


def beyond(log: Path) -> set[tuple[str, int]]:
    """All of it that is not this machine, or asks for names."""
    own = {one.address for each in psutil.net_if_addrs().values() for one in each}
    return {
        (host, port)
        for host, port in sent_to(log)
        if port == DOMAIN_NAMES or not (ip_address(host).is_loopback or host in own)
    }


def told(log: Path) -> list[str]:
    """The calls in question."""
    hosts = {host for host, _ in beyond(log)}
    lines = log.read_text(errors="replace").splitlines()
    return [line[:300] for line in lines if any(host in line for host in hosts)][:20]


async def talked(house: Installation, ways: tuple[Way, ...], pipeline: str | None = None) -> None:
    """Somebody writes, speaks, and is answered."""
    async with newcomer(house.url) as person:
        path = await person.start()
        assert (await person.send(path, "What is flu?")).status_code == 201
        for way in ways:
            wanted = None if way == "voice" else pipeline
            async with call(person, way, path.rsplit("/", 1)[1], wanted) as talker:
                await talker.say(QUESTION)
                await talker.answering(within=60)
                await talker.hears()


def counted(log: Path) -> None:
    """The watch works: what must be there was seen."""
    hosts = {host for host, _ in sent_to(log)}
    assert "127.0.0.1" in hosts, "the services talk to each other over the loopback"


async def test_offline_nothing_leaves_this_machine() -> None:
    env = {"VOICE_PREWARM": "true", "VOICE_TURN_DETECTION": "vad"}
    with watched(rooms=False, env=env) as (house, log):
        await talked(house, ("voice",))
        counted(log)
        assert beyond(log) == set(), told(log)


@pytest.mark.long
@pytest.mark.parametrize("pipeline", ["offline", "cascade", "realtime"])
async def test_nothing_goes_where_it_was_not_sent(pipeline: str) -> None:
    """With rooms and the model of turns, to the configured provider alone, which is really used."""
    cloud, port = Cloud(), free_port()
    cloud.speech.hears = [QUESTION] * 20
    cloud.realtime.hears, cloud.realtime.says = [QUESTION] * 20, [ANSWER] * 20
    env = {**spoken(port, VOICE_PIPELINE=pipeline), "VOICE_TURN_DETECTION": "model"}
    if pipeline != "offline":
        del env["STT_PROVIDER"]
    async with serve(cloud.app(), port=port):
        with watched(rooms=True, env=env) as (house, log):
            await talked(house, ("voice", "room", "session"), pipeline)
            counted(log)
            assert beyond(log) == set(), told(log)
            assert ("127.0.0.1", port) in sent_to(log)
    assert cloud.model.requests, "the chat was answered by the provider's model"
    assert bool(cloud.speech.heard) == (pipeline == "cascade")
    assert bool(cloud.realtime.items) == (pipeline == "realtime")
    assert cloud.speech.faults == cloud.realtime.faults == []
