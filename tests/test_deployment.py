"""The files of a deployment say what the code says: ports, names, commands, health checks."""

import configparser
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import api_gateway.settings
import voice_service.settings
from api_gateway import clients
from kit.settings import Settings
from medbot import services
from voice_service.agent.settings import Speaking
from voice_service.sockets.reception import STOPS_WITHIN

ROOT = Path(__file__).resolve().parents[1]
RUN = ("auth", "conversation", "voice", "gateway")
SILENT = {"migrate", "ollama-model", "tempo"}
"""Two that end by themselves, and one whose image holds nothing to ask it with."""


@cache
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


@cache
def fly() -> dict[str, Any]:
    return tomllib.loads((ROOT / "fly.toml").read_text())


def names(reads: type[Settings]) -> set[str]:
    return {name.upper() for name in reads.model_fields}


def read_by() -> dict[str, set[str]]:
    """What each process reads. The worker's class has all that a service has besides, of which the
    worker has no use: it keeps nothing, takes no events, is not scraped and drains by its own."""
    of_services = names(Settings) - {"SERVICE_TOKEN_SECRET"}
    traces = {name for name in of_services if name.startswith(("OTEL_", "LOG_"))}
    return {
        **{one.name: names(one.reads) for one in services.IN_ORDER},
        "migrate": names(Settings),
        "worker": (names(Speaking) - of_services) | traces,
    }


def test_every_service_of_compose_has_a_health_check() -> None:
    checked = {name for name, one in compose()["services"].items() if "healthcheck" in one}
    assert set(compose()["services"]) - checked == SILENT


def test_services_wait_for_what_has_a_check_by_its_health() -> None:
    for name, one in compose()["services"].items():
        for other, how in one.get("depends_on", {}).items():
            ready = {"migrate": "service_completed_successfully", "tempo": "service_started"}
            assert how["condition"] == ready.get(other, "service_healthy"), f"{name} → {other}"


def test_every_name_that_a_service_is_given_is_read_by_the_code() -> None:
    for name in (*RUN, "worker", "migrate"):
        given = compose()["services"][name]["environment"]
        assert set(given) - read_by()[name] == set(), name
    other = yaml.safe_load((ROOT / "deploy" / "supabase.yml").read_text())["services"]
    assert set(other) == {*RUN, "migrate"}
    for name, one in other.items():
        assert set(one["environment"]) - read_by()[name] == set(), name
    assert set(fly()["env"]) <= set().union(*(read_by()[name] for name in RUN))


def test_the_worker_has_no_login_to_the_database() -> None:
    given = compose()["services"]["worker"]["environment"]
    assert "SERVICE_TOKEN_SECRET" in given
    assert [name for name in given if name.startswith("DATABASE")] == []


def test_the_worker_is_started_by_the_shell_that_its_script_is_written_for() -> None:
    image = (ROOT / "voice-service" / "Dockerfile.worker").read_text()
    (said,) = re.findall(r"^ENTRYPOINT (.*)$", image, re.MULTILINE)
    shell, script = json.loads(said)
    assert (ROOT / script).read_text().splitlines()[0].split()[-1] == shell


def test_compose_and_fly_start_each_service_on_its_port() -> None:
    for one in services.IN_ORDER:
        port = 8000 + one.after
        served = compose()["services"][one.name]
        assert served["command"][:2] == ["serve", one.name]
        assert served["healthcheck"]["test"][-1] == str(port)
        assert fly()["processes"][one.name].startswith(f"serve {one.name} --host :: --port {port}")


def drain(told: Mapping[str, str]) -> float:
    """Seconds that a service takes to end, as its environment says."""
    names = ("drain_grace_seconds", "drain_seconds")
    chosen = Settings.model_validate({name: told[name.upper()] for name in names})
    assert chosen.drain_grace_seconds >= 5, "a load balancer has to learn of it"
    assert chosen.drain_seconds >= 25, "replies have to come to their end"
    return chosen.drain_grace_seconds + chosen.drain_seconds + 5


def test_whoever_stops_a_process_waits_for_its_drain() -> None:
    speaking = voice_service.settings.Settings()
    for name in RUN:
        one = compose()["services"][name]
        spoken = STOPS_WITHIN if name == "voice" else 0
        assert seconds(one["stop_grace_period"]) >= drain(one["environment"]) + spoken
    assert seconds(fly()["kill_timeout"]) >= drain(fly()["env"]) + STOPS_WITHIN
    unit = units()["medbot@.service"]
    told = dict(pair.split("=") for pair in unit["Environment"].split())
    assert float(unit["TimeoutStopSec"]) >= drain(told) + STOPS_WITHIN
    assert float(units()["medbot-agent.service"]["TimeoutStopSec"]) > speaking.voice_drain_seconds
    assert (
        seconds(compose()["services"]["worker"]["stop_grace_period"]) > speaking.voice_drain_seconds
    )
    elsewhere = tomllib.loads((ROOT / "voice-service" / "fly.worker.toml").read_text())
    assert set(elsewhere["env"]) - read_by()["worker"] == set()
    assert seconds(elsewhere["kill_timeout"]) > float(elsewhere["env"]["VOICE_DRAIN_SECONDS"])


def units() -> dict[str, dict[str, str]]:
    """What the units of DEPLOYMENT.md say of their services."""
    text = (ROOT / "DEPLOYMENT.md").read_text()
    found = re.findall(r"^`/etc/systemd/system/(\S+)`.*?```ini\n(.*?)```", text, re.DOTALL | re.M)
    said = {}
    for name, unit in found:
        parsed = configparser.ConfigParser(interpolation=None)
        parsed.optionxform = str  # type: ignore[assignment,method-assign]
        parsed.read_string(unit)
        said[name] = dict(parsed["Service"])
    return said


def seconds(written: str) -> float:
    """`40s` and `11m` as numbers."""
    return float(written[:-1]) * {"s": 1, "m": 60}[written[-1]]


def test_counts_are_told_on_a_port_that_no_door_leads_to() -> None:
    port = int(compose()["services"]["gateway"]["environment"]["METRICS_PORT"])
    scraped = yaml.safe_load((ROOT / "deploy/observability/prometheus.yml").read_text())
    jobs = {job["job_name"]: job["dns_sd_configs"][0] for job in scraped["scrape_configs"]}
    assert set(jobs) == set(RUN)
    assert all(job == {"names": [name], "type": "A", "port": port} for name, job in jobs.items())
    published = [each for one in compose()["services"].values() for each in one.get("ports", ())]
    assert [each for each in published if str(port) in each] == []
    assert {entry["port"] for entry in fly()["metrics"]} == {int(fly()["env"]["METRICS_PORT"])}
    assert {name for entry in fly()["metrics"] for name in entry["processes"]} == set(RUN)
    assert fly()["http_service"]["internal_port"] != int(fly()["env"]["METRICS_PORT"])


def test_only_the_gateway_and_the_media_server_have_a_public_door() -> None:
    public = {
        name
        for name, one in compose()["services"].items()
        if any(not str(port).startswith("127.0.0.1:") for port in one.get("ports", ()))
    }
    assert public == {"gateway", "livekit"}


def test_what_is_mounted_is_there() -> None:
    for name, one in compose()["services"].items():
        for volume in one.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), name
            else:
                assert source in compose()["volumes"], name


def test_on_fly_callers_are_known_by_their_own_address() -> None:
    told = [b"198.51.100.7, 203.0.113.5, 66.241.124.1"]  # what the caller made up, they, the app
    scope = {"client": ("172.16.0.2", 4711), "headers": [(b"x-forwarded-for", *told)]}
    trusted = int(fly()["env"]["TRUSTED_PROXIES"])
    assert clients.address(scope, trusted_proxies=trusted) == "203.0.113.5"


CHECK = {"grace_period", "interval", "method", "path", "port", "processes", "timeout", "type"}
FLY = {
    "": {"app", "kill_signal", "kill_timeout", "primary_region"},
    "build": {"dockerfile"},
    "deploy": {"release_command", "strategy"},
    "processes": set(RUN),
    "metrics": {"path", "port", "processes"},
    "http_service": {"auto_start_machines", "auto_stop_machines", "force_https", "internal_port",
                     "min_machines_running", "processes"},
    "http_service.concurrency": {"hard_limit", "soft_limit", "type"},
    "http_service.checks": CHECK - {"port", "processes", "type"},
    **{f"checks.{name}": CHECK for name in (*RUN, "agent")},
    "vm": {"memory", "processes", "size"},
}  # fmt: skip
"""Keys that fly.io knows, by table, as far as they are used; it passes over others in silence."""


def unknown(table: Mapping[str, Any], name: str = "") -> list[str]:
    """The keys of a file of fly's that are in none of its tables; ours are those of `env`."""
    found = []
    for key, value in table.items():
        inner = f"{name}.{key}".lstrip(".")
        tables = value if isinstance(value, list) else [value]
        if isinstance(tables[0], dict):
            found += [] if inner == "env" else [k for one in tables for k in unknown(one, inner)]
        elif key not in FLY.get(name, ()):
            found.append(inner)
    return found


@pytest.mark.parametrize("path", ["fly.toml", "voice-service/fly.worker.toml"])
def test_fly_knows_every_key_of_its_files(path: str) -> None:
    text = (ROOT / path).read_text()
    assert unknown(tomllib.loads(text)) == []
    for right, wrong in (("kill_timeout", "kill_timout"), ("interval", "intervall"),
                         ("memory", "memori"), ("[checks", "[cheks")):  # fmt: skip
        assert unknown(tomllib.loads(text.replace(right, wrong))) != [], wrong


def test_on_fly_the_door_is_wider_than_the_gateway() -> None:
    """Else fly refuses, without a word of ours, what the gateway has a place for."""
    told = {name.lower(): value for name, value in fly()["env"].items()}
    chosen = api_gateway.settings.Settings.model_validate(told)
    behind = [url for url in chosen.services.values() if url is not None]
    places = chosen.upstream_requests + chosen.upstream_streams + chosen.upstream_sockets
    limits = fly()["http_service"]["concurrency"]
    assert limits["type"] == "requests"
    assert limits["hard_limit"] > len(behind) * places
    assert limits["soft_limit"] < limits["hard_limit"]


def test_images_have_a_version() -> None:
    own = {"medbot", "medbot-agent"}
    for name, one in compose()["services"].items():
        image = one.get("image", "")
        assert image in own or re.search(r":v?\d", image), name


def ran(*command: str | Path) -> None:
    """Fails with what the command says."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_wrong_with_how_the_images_are_made() -> None:
    lint = Path(sys.executable).parent / "hadolint"
    ran(lint, "Dockerfile", "voice-service/Dockerfile.worker")


@pytest.mark.parametrize("more", [(), ("-f", "deploy/supabase.yml")], ids=["own", "supabase"])
def test_compose_itself_takes_its_files(more: tuple[str, ...], tmp_path: Path) -> None:
    program = shutil.which("docker-compose")
    assert program is not None, "no docker-compose on the PATH: apt-get install docker-compose"
    for name in ("docker-compose.yml", "deploy/supabase.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".env.local").touch()
    secrets = ("SERVICE_TOKEN_SECRET", "LIVEKIT_API_SECRET", "DATABASE_URL", "DATABASE_DIRECT_URL",
               "NEXT_PUBLIC_SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_ANON_KEY")  # fmt: skip
    (tmp_path / ".env").write_text("".join(f"{name}=x\n" for name in secrets))
    folder = ("--project-directory", str(tmp_path))
    ran(program, *folder, "-f", str(tmp_path / "docker-compose.yml"),
        *(str(tmp_path / part) if part.endswith("yml") else part for part in more),
        "config", "--quiet")  # fmt: skip
