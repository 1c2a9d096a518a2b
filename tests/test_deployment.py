"""The files of a deployment say what the code says: ports, names, commands, health checks."""

import configparser
import json
import os
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
from medbot import environment, services
from voice_service.agent.settings import Speaking
from voice_service.sockets.reception import STOPS_WITHIN

ROOT = Path(__file__).resolve().parents[1]
RUN = ("auth", "conversation", "voice", "gateway")
SILENT = {"migrate", "ollama-model", "tempo"}
"""Two that end by themselves, and one whose image holds nothing to ask it with."""
OWN = {"medbot", "medbot-agent"}
"""Images that are built here."""
APPS = {"medbot-backend": "fly.toml", "medbot-agent": "voice-service/fly.worker.toml"}
"""Apps of fly's, with their files."""


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


def test_the_database_is_asked_over_tcp() -> None:
    """At the socket the server answers too that the image starts to fill an empty volume."""
    check = compose()["services"]["db"]["healthcheck"]["test"]
    assert check[1:4] == ["pg_isready", "-h", "127.0.0.1"]


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
    """`40s`, `11m` and `1d` as numbers."""
    return float(written[:-1]) * {"s": 1, "m": 60, "d": 86_400}[written[-1]]


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
            source = re.sub(r"^\$\{\w+:-(.*?)\}", r"\1", volume).split(":")[0]
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


def handed_to_fly(folder: Path, env: str) -> dict[str, dict[str, str]]:
    """What the commands of DEPLOYMENT.md take from an `.env.local`, by the app that gets it."""
    (block,) = re.findall(r"```bash\n(models=.*?)```", (ROOT / "DEPLOYMENT.md").read_text(), re.S)
    (folder / ".env.local").write_text(env)
    (folder / "fly").write_text(
        '#!/bin/sh\n[ "$1 $2 $3" = "secrets import --app" ] && cat > "$4"\n'
    )
    (folder / "fly").chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    subprocess.run(["bash", "-euc", block], cwd=folder, env={"PATH": path}, check=True)
    lines = {app: (folder / app).read_text().splitlines() for app in APPS}
    return {app: dict(line.split("=", 1) for line in lines[app]) for app in APPS}


def test_fly_gets_the_secrets_of_a_file_whole_and_nothing_of_this_machine(tmp_path: Path) -> None:
    here = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        "SMTP_URL": "smtp://a:b@localhost:1025",
    }
    told = {name: f"a, {name} <&>" for name in sorted(environment.read_here())} | here
    lines = [f"{name}={value}" for name, value in told.items()]
    given = handed_to_fly(tmp_path, "\n".join(["# GROQ_API_KEY=old", "", *lines, ""]))
    text = (ROOT / "DEPLOYMENT.md").read_text()
    for app, path in APPS.items():
        assert given[app].items() <= told.items()
        assert not given[app].keys() & here.keys()
        assert not given[app].keys() & tomllib.loads((ROOT / path).read_text())["env"].keys()
        (by_hand,) = re.findall(rf"fly secrets set --app {app} ((?:.*\\\n)*.*)", text)
        set_there = set(re.findall(r"\w+(?==)", by_hand)) | here.keys() | {"RABBITMQ_PASSWORD"}
        assert not given[app].keys() & set_there, "what differs between the two places"
        runs = ("worker",) if app == "medbot-agent" else RUN
        read = set[str]().union(*(read_by()[name] for name in runs))
        assert given[app].keys() <= read
        assert (secrets() & read) - given[app].keys() - set_there == set()


WRITTEN = ("{}={}", "{} = {}", "export {}={}", "  export\t{}= {}", "'{}'={}")
"""Ways to set a name in an `.env.local`, each of which Medbot reads in either case."""


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "SPEECH_BASE_URL", "openai_base_url"])
@pytest.mark.parametrize("written", WRITTEN)
def test_on_fly_a_key_never_means_openai_where_the_file_means_another_server(
    tmp_path: Path, name: str, written: str
) -> None:
    here = ("http://127.0.0.1:11434/v1", '"http://me:x@LocalHost:1/v1"')
    for address in (*here, "https://models.example.org/v1"):
        lines = ["OPENAI_API_KEY=mine", written.format(name, address), "GROQ_API_KEY=mine", ""]
        (tmp_path / "read").write_text("\n".join(lines))
        assert environment.names_in(tmp_path / "read")[1] == name
        goes = {} if address in here else {"OPENAI_API_KEY": "mine", name: address}
        for given in handed_to_fly(tmp_path, "\n".join(lines)).values():
            assert given == {"GROQ_API_KEY": "mine"} | goes


def test_on_fly_a_key_without_an_address_means_openai(tmp_path: Path) -> None:
    for given in handed_to_fly(tmp_path, "OPENAI_API_KEY=mine\n").values():
        assert given == {"OPENAI_API_KEY": "mine"}


def secrets() -> set[str]:
    """The names whose values no log may show."""
    return {
        name.upper()
        for one in environment.classes()
        for name, field in one.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }


def test_images_have_a_version() -> None:
    for name, one in compose()["services"].items():
        image = one.get("image", "")
        assert image in OWN or re.search(r":v?\d", image), name


def test_one_service_builds_an_image_and_the_others_take_it_from_this_machine() -> None:
    """Several that build one at once collide, and no registry has it."""
    used = [one for one in compose()["services"].values() if one["image"] in OWN]
    assert sorted(one["image"] for one in used if "build" in one) == sorted(OWN)
    assert {one.get("pull_policy") for one in used if "build" not in one} == {"never"}
    assert not [one for one in compose()["services"].values() if "build" in one and one not in used]


def test_whoever_shares_a_volume_of_data_was_built_with_the_same() -> None:
    """The first one that starts fills it from its image, and hides what the others have there."""
    images = (ROOT / "Dockerfile", ROOT / "voice-service" / "Dockerfile.worker")
    made = [re.findall(r"^RUN uv sync(?:.|\n)*?[^\\]$", path.read_text(), re.M) for path in images]
    assert made[0] == made[1]
    assert "voice_service.offline" in "".join(made[0])


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


def amtool(*arguments: str) -> str:
    """What Alertmanager's own tool says of its file; fails as it does."""
    program = shutil.which("amtool")
    assert program is not None, "no amtool on the PATH: apt-get install prometheus-alertmanager"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_every_alert_reaches_the_receiver_of_its_severity() -> None:
    folder = ROOT / "deploy" / "observability"
    path = folder / "alertmanager.yml"
    amtool("check-config", str(path))
    groups = yaml.safe_load((folder / "alerts.yml").read_text())["groups"]
    raised = {rule["labels"]["severity"] for group in groups for rule in group["rules"]}
    assert raised == {"page", "ticket"}
    for severity in raised:
        told = ("config", "routes", "test", f"--config.file={path}", f"severity={severity}")
        assert amtool(*told) == severity
    route = yaml.safe_load(path.read_text())["route"]
    (page,) = route["routes"]
    assert page["group_wait"] == "0s", "somebody is woken at once"
    assert seconds(page["repeat_interval"]) < seconds(route["repeat_interval"]) / 10


def test_what_the_receivers_show_as_an_example_can_be_used(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "observability" / "alertmanager.yml").read_text()
    filled = re.sub(r"^    # ", "    ", text, flags=re.MULTILINE).replace("…", "x")
    (tmp_path / "alertmanager.yml").write_text(filled)
    receivers = yaml.safe_load(filled)["receivers"]
    assert [set(one) for one in receivers] == [
        {"name", "webhook_configs"},
        {"name", "email_configs"},
    ]
    amtool("check-config", str(tmp_path / "alertmanager.yml"))


def test_prometheus_tells_the_alertmanager_of_compose() -> None:
    told = yaml.safe_load((ROOT / "deploy/observability/prometheus.yml").read_text())["alerting"]
    ((address,),) = (one["targets"] for at in told["alertmanagers"] for one in at["static_configs"])
    name, port = address.split(":")
    served = compose()["services"][name]
    assert served["profiles"] == compose()["services"]["prometheus"]["profiles"]
    assert f"127.0.0.1:{port}:{port}" in served["ports"]
