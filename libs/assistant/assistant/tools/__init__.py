"""Tools that a model may call: plain async functions with a schema, hosted by text and speech."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

_log = structlog.stdlib.get_logger(__name__)


class ToolFailed(Exception):
    """A tool could not do what was asked; the message is for the model and fit to be spoken."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call; `arguments` validates what the model wrote."""

    name: str
    description: str
    arguments: type[BaseModel]
    run: Callable[[Any], Awaitable[str]]

    def schema(self) -> dict[str, Any]:
        """The tool as an OpenAI-compatible `tools` entry."""
        parameters = self.arguments.model_json_schema()
        parameters.pop("title", None)
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": parameters,
        }
        return {"type": "function", "function": function}


async def call(tools: Mapping[str, Tool], name: str, arguments: dict[str, Any] | None) -> str:
    """Runs a tool with the arguments that a model wrote.

    Raises:
        ToolFailed: there is no such tool, the arguments do not fit, or the tool fails in any way.
    """
    tool = tools.get(name)
    if tool is None:
        raise ToolFailed("There is no such tool.")
    try:
        wanted = tool.arguments.model_validate(arguments)
    except ValidationError:
        raise ToolFailed("The arguments of the tool were not understood.") from None
    try:
        return await tool.run(wanted)
    except ToolFailed:
        raise
    except Exception as error:  # whatever a tool raises, the model must have an answer
        _log.error("tool.failed", tool=name, error_type=type(error).__name__)
        raise ToolFailed("The tool does not work just now.") from None
