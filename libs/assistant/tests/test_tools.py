"""What a model gets for a call of a tool, also where the tool is broken."""

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from assistant import tools

WORDS = "forty paracetamol"


class _Wanted(BaseModel):
    words: str


async def _breaks(wanted: _Wanted) -> str:
    raise KeyError(wanted.words)


async def _refuses(wanted: _Wanted) -> str:
    raise tools.ToolFailed("Nothing is free on that day.")


def _known(run: object) -> dict[str, tools.Tool]:
    return {"book": tools.Tool("book", "Books.", _Wanted, run)}  # type: ignore[arg-type]


async def test_a_tool_that_breaks_is_a_tool_that_failed_and_its_log_has_no_words() -> None:
    with capture_logs() as logs, pytest.raises(tools.ToolFailed) as failed:
        await tools.call(_known(_breaks), "book", {"words": WORDS})
    assert str(failed.value) == "The tool does not work just now."
    assert [(log["event"], log["tool"], log["error_type"]) for log in logs] == [
        ("tool.failed", "book", "KeyError")
    ]
    assert WORDS not in str(logs)


async def test_what_a_tool_says_of_its_failure_is_handed_on() -> None:
    with pytest.raises(tools.ToolFailed, match="Nothing is free"):
        await tools.call(_known(_refuses), "book", {"words": WORDS})


@pytest.mark.parametrize(("name", "arguments"), [("fly", {}), ("book", None), ("book", {})])
async def test_what_cannot_be_called_has_failed(name: str, arguments: dict[str, str]) -> None:
    with pytest.raises(tools.ToolFailed):
        await tools.call(_known(_breaks), name, arguments)
