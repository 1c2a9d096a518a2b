"""One installation as those see it who look after it: a trace from door to model, and counts."""

import asyncio
import json
import re
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import queries
import yaml
from collector import Collector, Seen, collecting
from installation import Installation, installed, newcomer, sign_up, visitor
from model_server import ModelServer, Say

from kit.testing import serve
from kit.testing.ports import free_port
from telemetry import catalogue

pytestmark = pytest.mark.journey

TOKEN = "t" * 24
SERVICES = ("gateway", "auth", "conversation", "voice")
AN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|[0-9a-f]{16}|@")
SERVER, CLIENT = 2, 3
MESSAGES = "/api/v1/conversations/{conversation_id}/messages"


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    """Of the model and of the collector."""
    return free_port(), free_port()


@pytest.fixture(scope="module")
def house(ports: tuple[int, int]) -> Iterator[Installation]:
    model, collector = ports
    with installed() as made:
        made.begin(
            {
                "OPENAI_BASE_URL": f"http://127.0.0.1:{model}/v1",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector}",
                "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
                "METRICS_TOKEN": TOKEN,
            }
        )
        yield made


@pytest.fixture
async def collector(ports: tuple[int, int]) -> AsyncIterator[Collector]:
    async with collecting(port=ports[1]) as made:
        yield made


async def spans_of(collector: Collector, trace_id: str, *wanted: str) -> list[Seen]:
    """The spans of a trace, once those that are wanted, by name or service and name, have come."""
    async with asyncio.timeout(30):
        while True:
            found = [span for span in collector.spans if span.trace_id == trace_id]
            told = {name for span in found for name in (span.name, f"{span.service} {span.name}")}
            if set(wanted) <= told:
                return found
            await asyncio.sleep(0.1)


async def scrape(house: Installation, service: str, token: str | None = TOKEN) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(f"{house.url_of(service)}/metrics", headers=headers)


def one(spans: list[Seen], service: str, name: str, kind: int | None = None) -> Seen:
    (found,) = (
        span
        for span in spans
        if (span.service, span.name) == (f"medbot-{service}", name) and kind in (None, span.kind)
    )
    return found


@pytest.fixture
def offered() -> str:
    """The trace that a client has begun."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


async def ask(house: Installation, port: int, text: str, offered: str) -> None:
    server = ModelServer([[Say("It helps to rest.")]])
    async with serve(server.app(), port=port), newcomer(house.url) as person:
        person.http.headers["traceparent"] = offered
        path = await person.start()
        answer = await person.send(path, text)
        assert answer.status_code == 201, answer.text


async def test_a_trace_goes_from_the_door_to_the_model(
    house: Installation, collector: Collector, ports: tuple[int, int], offered: str
) -> None:
    await ask(house, ports[0], "I have had a headache for three days.", offered)
    spans = await spans_of(collector, offered[3:35], "chat gpt-4.1-mini")
    chat = one(spans, "conversation", "chat gpt-4.1-mini", CLIENT)
    async with asyncio.timeout(30):
        while [chat, *collector.above(chat)][-1].parent_id != offered[36:52]:
            await asyncio.sleep(0.1)
    spans = await spans_of(collector, offered[3:35], "INSERT public.messages")
    way = [(span.service, span.name) for span in collector.above(chat)]
    assert way == [
        ("medbot-conversation", "reply"),
        ("medbot-conversation", f"POST {MESSAGES}"),
        ("medbot-gateway", "POST /api/v1/conversations/*"),
        ("medbot-gateway", "POST /api/v1/conversations/*"),
    ]
    assert chat.attributes["gen_ai.usage.input_tokens"] == 11
    assert chat.attributes["gen_ai.provider.name"] == "openai"
    told = one(spans, "conversation", f"POST {MESSAGES}", SERVER).attributes
    assert told["http.route"] == MESSAGES
    assert told["http.response.status_code"] == 201
    statements = [span for span in spans if span.name == "INSERT public.messages"]
    assert statements
    assert all(span.service == "medbot-conversation" for span in statements)


async def test_a_trace_goes_through_the_bus_to_another_service(
    house: Installation, collector: Collector, offered: str
) -> None:
    topic = "medbot.auth.user.registered.v1"
    async with visitor(house.url) as http:
        http.headers["traceparent"] = offered
        await sign_up(http)
    wanted = (f"process {topic}", f"send {topic}", "medbot-gateway POST /api/v1/auth/register")
    spans = await spans_of(collector, offered[3:35], *wanted)
    taken = one(spans, "conversation", f"process {topic}")
    way = [(span.service, span.name) for span in collector.above(taken)]
    assert way[0] == ("medbot-auth", f"send {topic}")
    assert way[-1] == ("medbot-gateway", "POST /api/v1/auth/register")


async def test_no_name_in_a_span_holds_an_id_or_an_address(
    house: Installation, collector: Collector, ports: tuple[int, int], offered: str
) -> None:
    await ask(house, ports[0], "I have had a cough for a week.", offered)
    async with httpx.AsyncClient(base_url=house.url, trust_env=False) as http:
        for path in ("/api/v1/auth/erasures/7f1d2c9a-3f39-4c1c-9a55-2d1d0a5f6a01", "/no/such/path"):
            await http.get(path)
    await spans_of(collector, offered[3:35], "reply")
    await asyncio.sleep(2)
    named = {span.name for span in collector.spans}
    routes = {str(span.attributes.get("http.route")) for span in collector.spans}
    assert len(named) > 10
    assert [each for each in named | routes if AN_ID.search(each)] == []
    assert "GET unmatched" in named


async def test_only_who_may_reads_the_counts(house: Installation) -> None:
    for service in SERVICES:
        assert (await scrape(house, service)).status_code == 200
        assert (await scrape(house, service, None)).status_code == 404
        assert (await scrape(house, service, "x" * 24)).status_code == 404


async def test_every_query_names_what_a_real_scrape_tells(
    house: Installation, ports: tuple[int, int], offered: str
) -> None:
    await ask(house, ports[0], "I have had a headache for three days.", offered)
    pages = [(await scrape(house, service)).text for service in SERVICES]
    told: dict[str, set[str]] = {"up": set()}
    for page in pages:
        for name, labels in queries.families(page).items():
            told.setdefault(name, set()).update(labels)
    asked = list(queries.queries())
    assert len(asked) > 40
    missing = {each.where: each.metrics - set(told) for each in asked if each.metrics - set(told)}
    assert missing == {}
    for kind in ("gate", "retrieval", "first_token", "first_text", "whole"):
        assert f'medbot_reply_stage_seconds_count{{stage="{kind}"}}' in pages[2]
    assert 'medbot_model_tokens_total{kind="input",model="gpt-4.1-mini"' in pages[2]
    assert 'medbot_triage_total{channel="chat",level="' in pages[2]
    assert "medbot_outbox_lag_seconds 0" in pages[1]


def labels_of(metric: str) -> set[str]:
    """Those of its instrument; `up` and what is told of processes have none."""
    for service in SERVICES:
        for instrument in catalogue.of(service):
            if re.fullmatch(rf"{instrument.name}(?:_bucket|_count|_sum)?", metric):
                return set(instrument.labels)
    return set()


def test_every_query_and_legend_names_labels_that_there_are() -> None:
    for query in queries.queries():
        known = set[str]().union(*map(labels_of, query.metrics)) | queries.SCRAPED
        assert query.labels <= known, query.where
    for title, (shown, query) in queries.legends():
        assert shown <= query.labels | queries.SCRAPED, title


def test_every_instrument_is_on_the_dashboard() -> None:
    asked = {name for query in queries.queries() for name in query.metrics}
    for service in SERVICES:
        for instrument in catalogue.of(service):
            assert any(name.startswith(instrument.name) for name in asked), instrument.name


def test_the_dashboard_asks_the_prometheus_that_is_chosen_on_it() -> None:
    """At first the one of compose, which other installations need not have."""
    sources = queries.FOLDER / "grafana" / "provisioning" / "datasources" / "medbot.yml"
    ours = {one["type"]: one["uid"] for one in yaml.safe_load(sources.read_text())["datasources"]}
    for path in queries.FOLDER.glob("grafana/dashboards/*.json"):
        board = json.loads(path.read_text())
        (chosen,) = board["templating"]["list"]
        assert (chosen["type"], chosen["query"]) == ("datasource", "prometheus")
        assert chosen["current"]["value"] == ours["prometheus"]
        shown = [panel for panel in board["panels"] if panel["type"] != "row"]
        asked = [*shown, *(target for panel in shown for target in panel["targets"])]
        asked += board.get("annotations", {}).get("list", [])
        assert {one["datasource"]["uid"] for one in asked} == {f"${{{chosen['name']}}}"}


def promtool(*arguments: str) -> None:
    """Fails as Prometheus's own tool does."""
    program = shutil.which("promtool")
    assert program is not None, "no promtool on the PATH: apt-get install prometheus"
    done = subprocess.run([program, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_itself_takes_the_rules() -> None:
    promtool("check", "rules", str(queries.FOLDER / "alerts.yml"))


def raises(folder: Path, series: dict[str, str], **asked: Any) -> None:
    """Fails unless the rules, told of `series` minute by minute, raise what is asked."""
    told = {
        "rule_files": [str(queries.FOLDER / "alerts.yml")],
        "tests": [{
            "interval": "1m",
            "input_series": [{"series": key, "values": values} for key, values in series.items()],
            "alert_rule_test": [asked],
        }],
    }  # fmt: skip
    (folder / "told.yml").write_text(json.dumps(told))
    promtool("test", "rules", str(folder / "told.yml"))


def test_a_service_that_no_name_leads_to_any_more_raises_an_alert(tmp_path: Path) -> None:
    here = {f'up{{job="{job}",instance="x"}}': "1x9" for job in SERVICES[1:]}
    gone = {"exp_labels": {"job": SERVICES[0], "severity": "page"}, "exp_annotations": {
        "summary": f"DNS knows no instance of {SERVICES[0]}",
        "description": "None was started, or all of them have ended; what runs them says why.",
    }}  # fmt: skip
    raises(tmp_path, here, eval_time="5m", alertname="MedbotServiceGone", exp_alerts=[gone])


CALLS = {
    "MedbotAgentsMissing": ("medbot_voice_agents_missed_total{%s}", {}),
    "MedbotCallsRefused": ("medbot_voice_calls_refused_total{%s}", {}),
    "MedbotCallsLost": (
        'medbot_voice_sessions_ended_total{reason="failed",agent="none",%s}', {"agent": "none"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("alert", CALLS)
def test_callers_who_get_nobody_raise_an_alert(alert: str, tmp_path: Path) -> None:
    series, labels = CALLS[alert]
    (rule,) = (
        rule
        for group in yaml.safe_load((queries.FOLDER / "alerts.yml").read_text())["groups"]
        for rule in group["rules"]
        if rule["alert"] == alert
    )
    words = {
        name: text.replace("{{ $labels.agent }}", labels.get("agent", ""))
        for name, text in rule["annotations"].items()
    }
    raised = {"exp_labels": {"severity": "page", **labels}, "exp_annotations": words}
    told = series % 'job="voice",instance="x"'
    for values, found in (("0x9", []), ("0 0 0 7x6", [raised])):
        raises(tmp_path, {told: values}, eval_time="5m", alertname=alert, exp_alerts=found)
