"""The media server on this machine: where it is, what it is told, and the key that it shares."""

import json
import os
import secrets
import shutil
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import settings

PROGRAM = "livekit-server"
VERSION = "1.13.5"
"""What `make livekit` builds."""

LOOPBACK = "127.0.0.1"
KEPT = "livekit-key.json"


@dataclass(frozen=True, slots=True)
class Key:
    """What tokens are signed with; the media server and the voice service alone know it."""

    name: str
    secret: str

    @classmethod
    def made(cls) -> "Key":
        """A new one."""
        return cls(f"medbot-{secrets.token_hex(6)}", secrets.token_urlsafe(48))


@dataclass(frozen=True, slots=True)
class Ports:
    """Where it listens: for signals, for media over TCP, and for media over UDP."""

    signal: int
    tcp: int
    udp: int

    @property
    def url(self) -> str:
        """Where clients and agents connect."""
        return f"ws://{LOOPBACK}:{self.signal}"

    @property
    def health(self) -> str:
        """Answers 200 once it serves."""
        return f"http://{LOOPBACK}:{self.signal}/"


def find(data_dir: Path) -> Path | None:
    """The program: in the data folder, where `make livekit` puts it, or on the PATH."""
    for folder in (data_dir / "bin", settings.home() / ".medbot" / "bin"):
        if os.access(folder / PROGRAM, os.X_OK):
            return folder / PROGRAM
    on_path = shutil.which(PROGRAM)
    return Path(on_path) if on_path else None


def free_ports() -> Ports:
    """Ports of the loopback that were free a moment ago."""
    with ExitStack() as held:
        found = []
        for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM):
            probe = held.enter_context(socket.socket(socket.AF_INET, kind))
            probe.bind((LOOPBACK, 0))
            found.append(probe.getsockname()[1])
    return Ports(*found)


def configuration(ports: Ports, key: Key, webhook: str) -> dict[str, Any]:
    """What the server is told: the loopback alone, no address of anybody else is asked for."""
    return {
        "port": ports.signal,
        "bind_addresses": [LOOPBACK],
        "keys": {key.name: key.secret},
        "logging": {"level": "warn", "json": True},
        "rtc": {
            "tcp_port": ports.tcp,
            "udp_port": ports.udp,
            "node_ip": LOOPBACK,
            "use_external_ip": False,
            "enable_loopback_candidate": True,
            "interfaces": {"includes": ["lo"]},
            # Without any, callers and agents are told to ask public ones for their address.
            "stun_servers": [f"{LOOPBACK}:{ports.udp}"],
        },
        "webhook": {"api_key": key.name, "urls": [webhook]},
    }


def environment(ports: Ports, key: Key, webhook: str) -> Mapping[str, str]:
    """The configuration as the program reads it; a secret does not show among the processes."""
    return {"LIVEKIT_CONFIG": json.dumps(configuration(ports, key, webhook))}


def kept_key(data_dir: Path) -> Key:
    """The key of this installation, made at the first start."""
    path = data_dir / KEPT
    if not path.exists():
        made = Key.made()
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"name": made.name, "secret": made.secret}, file)
    return Key(**json.loads(path.read_text()))
