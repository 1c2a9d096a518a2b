"""Lines of the log are JSON with static names; a library repeats none of its own at once."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from kit import logs


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("root")
def test_what_a_library_says_is_the_text_of_a_named_event(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(json_lines=True, keep_pii=False)
    logging.getLogger("broker.client").warning("no answer from %s", "10.0.0.7")
    try:
        raise ValueError("a patient's words")
    except ValueError:
        logging.getLogger("broker").exception("it broke")
    logging.getLogger("asyncio").error("Task exception was never retrieved: a patient's words")
    said, broke, complained = lines(capsys)
    assert (said["event"], said["text"]) == ("broker.said", "no answer from 10.0.0.7")
    assert (broke["event"], broke["error"]) == ("broker.said", "ValueError")
    assert complained["event"] == "asyncio.said"
    assert "patient" not in json.dumps([said, broke, complained])


@pytest.mark.usefixtures("root")
def test_a_library_repeats_no_line_at_once_and_we_do(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(json_lines=True, keep_pii=False)
    for number in (1, 1, 2, 1):
        logging.getLogger("broker.client").warning("attempt %s failed", number)
        logs.get("medbot").info("bus.waiting", number=number)
    told = lines(capsys)
    assert [each["text"] for each in told if each["event"] == "broker.said"] == [
        "attempt 1 failed",
        "attempt 2 failed",
    ]
    assert [each["number"] for each in told if each["event"] == "bus.waiting"] == [1, 1, 2, 1]
