"""How fast the gateway passes requests: against FastAPI with httpx and against nginx, in one run.

    python bench/gateway.py [--rounds 5] [--seconds 3] [--clients] [--cores 0,1,2]

Load (wrk), proxy and service (nginx with a small fixed JSON) each have a core of their own. Every
round measures every proxy once, in turning order, so that a busy machine is busy for all; the
table shows medians, and ratios are medians of each round's own ratio. `--clients` adds bare
proxies over other client libraries and under granian, where those are installed.
"""

import argparse
import asyncio
import importlib.util
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx

from kit.identity import Actor, Role
from kit.testing.issuing import SERVICE_SECRET, Issuer
from kit.testing.ports import free_port
from kit.testing.serving import serve

HERE = Path(__file__).resolve().parent
TOKENS = 1000
CONNECTIONS = 32
PUBLIC, GUARDED = "/.well-known/jwks.json", "/api/v1/conversations"
BROWSER = (
    "Accept: application/json",
    "Accept-Language: en-GB,en;q=0.9",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
)

NGINX = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {body}
}}
"""
SERVICE = """server {{ listen 127.0.0.1:{port} backlog=2048; location / {{
  default_type application/json;
  return 200 '{{"status":"ok","items":[1,2,3,4,5,6,7,8,9,10],"next_cursor":null}}'; }} }}"""
KEPT = """upstream service {{
    server {upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} backlog=2048; location / {{
    proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_buffering off; proxy_request_buffering off; }} }}"""
STOCK = """server {{ listen 127.0.0.1:{port} backlog=2048; location / {{
    proxy_pass http://{upstream}; }} }}"""

ROTATE = """
local requests, at = {}, 0
function init()
  for line in io.lines(os.getenv("TOKENS_FILE")) do
    requests[#requests + 1] = wrk.format(nil, nil, {["Authorization"] = "Bearer " .. line,
      ["Accept"] = "application/json", ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64)"})
  end
end
function request() at = at % #requests + 1; return requests[at] end
"""


@dataclass
class Subject:
    """One way to the service, and what was measured of it, a figure a round."""

    name: str
    url: str
    script: Path | None = None
    per_second: list[float] = field(default_factory=list)
    p50_us: list[float] = field(default_factory=list)
    loaded_p50_us: list[float] = field(default_factory=list)
    loaded_p99_us: list[float] = field(default_factory=list)


@dataclass
class Bench:
    """What all parts of a run share."""

    folder: Path
    cores: tuple[str, str, str]
    seconds: int
    stack: ExitStack
    upstream: int = 0

    def start(self, core: str, command: list[str], **more: str) -> None:
        """Runs a server on a core until the bench ends."""
        self.stack.enter_context(_running(["taskset", "-c", core, *command], os.environ | more))

    def nginx(self, name: str, core: str, body: str) -> int:
        port = free_port()
        filled = body.format(port=port, upstream=f"127.0.0.1:{self.upstream}")
        config = self.folder / f"{name}.conf"
        config.write_text(NGINX.format(folder=self.folder, name=name, body=filled))
        self.start(core, ["nginx", "-c", str(config)])
        _wait_for(port)
        return port

    def uvicorn(self, app: str, app_dir: Path, **more: str) -> int:
        port = free_port()
        command = [
            sys.executable, "-m", "uvicorn", app, "--app-dir", str(app_dir), "--port", str(port),
            "--no-access-log", "--log-level", "error",
        ]  # fmt: skip
        self.start(self.cores[1], command, **more)
        _wait_for(port)
        return port

    def granian(self, app: str, app_dir: Path, **more: str) -> int:
        port = free_port()
        command = [
            sys.executable, "-m", "granian", "--interface", "asgi", app, "--port", str(port),
            "--working-dir", str(app_dir), "--loop", "uvloop", "--no-ws", "--log-level", "error",
        ]  # fmt: skip
        self.start(self.cores[1], command, **more)
        _wait_for(port)
        return port

    def gateway(self, auth: str, server: str = "uvicorn") -> int:
        more = {
            "AUTH_SERVICE_URL": auth,
            "CONVERSATION_SERVICE_URL": f"http://127.0.0.1:{self.upstream}",
            "SERVICE_TOKEN_SECRET": SERVICE_SECRET,
            "DATA_DIR": str(self.folder),
            "RATE_LIMIT_PERSON": "10000000",  # counted, and never reached
            "RATE_LIMIT_ADDRESS": "10000000",
        }
        start = self.uvicorn if server == "uvicorn" else self.granian
        return start("api_gateway.main:app", HERE.parent / "api-gateway", **more)

    def measure(self, subject: Subject) -> None:
        alone = self._wrk(subject, 1)
        loaded = self._wrk(subject, CONNECTIONS)
        subject.p50_us.append(alone["50%"])
        subject.per_second.append(loaded["per second"])
        subject.loaded_p50_us.append(loaded["50%"])
        subject.loaded_p99_us.append(loaded["99%"])

    def _wrk(self, subject: Subject, connections: int) -> dict[str, float]:
        command = ["taskset", "-c", self.cores[0], "wrk", "-t1", f"-c{connections}", "--latency"]
        command += [f"-d{self.seconds}s"]
        if subject.script is not None:
            command += ["-s", str(subject.script)]
        else:
            command += [part for line in BROWSER for part in ("-H", line)]
        tokens = {"TOKENS_FILE": str(self.folder / "tokens")}
        done = subprocess.run(
            [*command, subject.url],
            capture_output=True, text=True, check=True, env=os.environ | tokens,
        )  # fmt: skip
        return _figures(subject.name, done.stdout)


def _figures(name: str, printed: str) -> dict[str, float]:
    if "Non-2xx" in printed or "Socket errors" in printed:
        raise SystemExit(f"{name}: answers other than 2xx, or broken connections:\n{printed}")
    units = {"us": 1.0, "ms": 1e3, "s": 1e6}
    found = re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)$", printed, re.M)
    figures = {f"{share}%": float(value) * units[unit] for share, value, unit in found}
    per_second = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    assert per_second is not None
    return figures | {"per second": float(per_second[1])}


@contextmanager
def _running(command: list[str], env: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def _write_tokens(issuer: Issuer, folder: Path) -> None:
    people = [
        Actor(id=uuid4(), kind="person", roles=frozenset({Role.PATIENT}), session_id=uuid4())
        for _ in range(TOKENS)
    ]
    lines = [issuer.token(person, expires_in=3500) for person in people]
    (folder / "tokens").write_text("\n".join(lines) + "\n")
    (folder / "rotate.lua").write_text(ROTATE)


def _subjects(bench: Bench, issuer: Issuer, *, clients: bool) -> list[Subject]:
    bench.upstream = bench.nginx("service", bench.cores[2], SERVICE)
    upstream = f"http://127.0.0.1:{bench.upstream}"
    found = {
        "service without a proxy": bench.upstream,
        "nginx, connections kept": bench.nginx("kept", bench.cores[1], KEPT),
        "nginx, plain proxy_pass": bench.nginx("stock", bench.cores[1], STOCK),
        "FastAPI + httpx": bench.uvicorn("gateway_peers:fastapi_httpx", HERE, UPSTREAM=upstream),
        "gateway": bench.gateway(upstream),
    }
    if clients:
        found |= _others(bench, upstream)
    subjects = [Subject(name, f"http://127.0.0.1:{port}{PUBLIC}") for name, port in found.items()]
    guarded = f"http://127.0.0.1:{bench.gateway(issuer.url)}{GUARDED}"
    rotate = bench.folder / "rotate.lua"
    return [*subjects, Subject(f"gateway, {TOKENS:,} tokens", guarded, rotate)]


def _others(bench: Bench, upstream: str) -> dict[str, int]:
    """Bare proxies over other clients, and the gateway under another server."""
    found = {"bare aiohttp": bench.uvicorn("gateway_peers:raw_aiohttp", HERE, UPSTREAM=upstream)}
    if importlib.util.find_spec("pyreqwest"):
        app = "gateway_peers:raw_pyreqwest"
        found["bare pyreqwest"] = bench.uvicorn(app, HERE, UPSTREAM=upstream)
    if importlib.util.find_spec("granian"):
        found["gateway under granian"] = bench.gateway(upstream, "granian")
    return found


def _print(subjects: list[Subject]) -> None:
    by_name = {subject.name: subject for subject in subjects}
    direct, usual = by_name["service without a proxy"], by_name["FastAPI + httpx"]
    kept, plain = by_name["nginx, connections kept"], by_name["nginx, plain proxy_pass"]
    print("| way | requests/s | × FastAPI | of nginx kept | of nginx plain "
          "| p50 added, µs | p50/p99 at 32, ms |")  # fmt: skip
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for subject in subjects:
        added = _median_of(subject.p50_us, direct.p50_us, lambda a, b: a - b)
        cells = [
            subject.name,
            f"{statistics.median(subject.per_second):,.0f}",
            *(f"{_ratio(subject, other):.2f}" for other in (usual, kept, plain)),
            f"{added:.0f}",
            f"{statistics.median(subject.loaded_p50_us) / 1e3:.2f} / "
            f"{statistics.median(subject.loaded_p99_us) / 1e3:.2f}",
        ]
        print("| " + " | ".join(cells) + " |")


def _ratio(subject: Subject, other: Subject) -> float:
    return _median_of(subject.per_second, other.per_second, lambda a, b: a / b)


def _median_of(
    mine: list[float], theirs: list[float], how: Callable[[float, float], float]
) -> float:
    return statistics.median(how(a, b) for a, b in zip(mine, theirs, strict=True))


def _warm(subjects: list[Subject], folder: Path) -> None:
    token = (folder / "tokens").read_text().split("\n", 1)[0]
    for subject in subjects:
        answer = httpx.get(subject.url, headers={"authorization": f"Bearer {token}"}, timeout=10)
        if answer.status_code != 200:
            raise SystemExit(f"{subject.name}: {answer.status_code} {answer.text}")


async def run(arguments: argparse.Namespace) -> None:
    issuer = Issuer()
    async with serve(issuer.app()) as served:
        issuer.url = served.url
        await asyncio.to_thread(_run, arguments, issuer)


def _run(arguments: argparse.Namespace, issuer: Issuer) -> None:
    first, second, third = arguments.cores.split(",")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        _write_tokens(issuer, folder)
        bench = Bench(folder, (first, second, third), arguments.seconds, stack)
        subjects = _subjects(bench, issuer, clients=arguments.clients)
        _warm(subjects, folder)
        for number in range(arguments.rounds):
            turn = number % len(subjects)
            for subject in subjects[turn:] + subjects[:turn]:
                bench.measure(subject)
            print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
        _print(subjects)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--cores", default="0,1,2", help="for the load, the proxy, the service")
    parser.add_argument("--clients", action="store_true", help="other clients and servers too")
    arguments = parser.parse_args()
    if missing := [name for name in ("nginx", "wrk", "taskset") if not shutil.which(name)]:
        raise SystemExit(f"bench/gateway.py needs {', '.join(missing)} on the PATH")
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
