"""A log line is a static name with fields: nothing that was said becomes the name of an event."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "api-gateway",
    "auth-service",
    "conversation-service",
    "voice-service",
    "libs",
    "medbot",
)
LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
LOGGERS = frozenset({"log", "_log", "logger", "_logger", "logging"})
NAME = re.compile(r"[a-z][a-z_]*(?:\.[a-z][a-z_]*)+")


def sources() -> list[Path]:
    """Every module that runs in production."""
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    apart = {"tests", "testing", "testing.py", ".venv", "build"}
    return sorted(path for path in found if not apart & set(path.relative_to(ROOT).parts))


def faults(source: str) -> Iterator[str]:
    """Calls of loggers whose event is no static name, or that have more than a name and fields."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _logs(node.func):
            first = node.args[0] if node.args else None
            if len(node.args) != 1 or not all(map(NAME.fullmatch, _names(first))):
                yield f"line {node.lineno}: {ast.unparse(node)[:100]}"


def _logs(func: ast.expr) -> bool:
    """`_log.info`, `self._log.info`, and a level that was picked before: `log(…)`."""
    if isinstance(func, ast.Name):
        return func.id in LOGGERS
    if not isinstance(func, ast.Attribute) or func.attr not in LEVELS:
        return False
    owner = func.value
    name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
    return name in LOGGERS


def _names(event: ast.expr | None) -> list[str]:
    """The names that an event may have; one that is not static counts as an empty one."""
    if isinstance(event, ast.IfExp):
        return [*_names(event.body), *_names(event.orelse)]
    if isinstance(event, ast.Constant) and isinstance(event.value, str):
        return [event.value]
    return [""]


def test_every_event_has_a_static_name() -> None:
    assert len(sources()) > 150
    found = {
        path.relative_to(ROOT).as_posix(): broken
        for path in sources()
        if (broken := list(faults(path.read_text("utf-8"))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        '_log.info(f"reply.failed {text}")',
        '_log.info("reply failed")',
        "_log.warning(text)",
        'self._log.error("reply." + text)',
        '_log.info("reply.failed %s", text)',
        'log("a.b" if bad else text)',
        "logger.info()",
        "logging.warning(text)",
    ],
)
def test_what_is_no_static_name_is_found(line: str) -> None:
    assert list(faults(line))


def test_what_is_one_is_let_through() -> None:
    good = '_log.info("reply.failed", ms=1)\nlog("a.b" if bad else "a.c", **told)\nmath.log(2)'
    assert list(faults(good)) == []
