"""The queries of the dashboard and the alerts, taken apart as far as names go."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "observability"

_TEXT = re.compile(r'"[^"]*"')
_WINDOW = re.compile(r"\[[^\]]*\]")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_GROUPED = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
_NAME = re.compile(r"[a-zA-Z_:][\w:]*")
_CALL = re.compile(r"[a-zA-Z_]\w*(?=\s*\()")
_WORDS = frozenset({"and", "or", "unless", "on", "ignoring", "bool", "offset"})
SCRAPED = frozenset({"job", "instance", "le"})
"""Labels that Prometheus, or a histogram, has by itself."""


@dataclass(frozen=True)
class Query:
    """`where` is the panel or the alert; `labels` are those that it names anywhere."""

    where: str
    text: str
    metrics: frozenset[str]
    labels: frozenset[str]


def queries() -> Iterator[Query]:
    """Every query of the folder."""
    for path in sorted(FOLDER.glob("grafana/dashboards/*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield parse(panel["title"], target["expr"])
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield parse(rule["alert"], rule["expr"])


def parse(where: str, text: str) -> Query:
    """The metrics and labels that a query names."""
    bare = _WINDOW.sub("", _TEXT.sub("", text))
    chosen = " ".join(inside for _, inside in _SELECTOR.findall(bare))
    labels = set(re.findall(r"(\w+)\s*[=!]", chosen))
    labels |= {name.strip() for group in _GROUPED.findall(bare) for name in group.split(",")}
    rest = _GROUPED.sub("", re.sub(r"\{[^}]*\}", "", bare))
    names = set(_NAME.findall(_CALL.sub("", rest))) - _WORDS
    return Query(where, text, frozenset(names), frozenset(labels) - {""})


def families(page: str) -> dict[str, set[str]]:
    """Names of series → the labels that they have, of a scrape; none without a series."""
    found: dict[str, set[str]] = {}
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            ends = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            for end in ends:
                found.setdefault(name + end, set())
        elif line and not line.startswith("#"):
            name, _, rest = line.partition("{")
            if rest:
                found.setdefault(name, set()).update(re.findall(r'(\w+)="', rest))
    return found


def legends() -> Iterator[tuple[str, Any]]:
    """Titles of panels with the labels that their legends show."""
    for path in sorted(FOLDER.glob("grafana/dashboards/*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                yield panel["title"], (shown, parse(panel["title"], target["expr"]))
