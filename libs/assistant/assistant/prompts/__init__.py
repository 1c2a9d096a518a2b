"""Prompts are content: Markdown files with a version, read once."""

from functools import cache
from importlib import resources


@cache
def read(name: str) -> str:
    """The text of `prompts/<name>.md` below its first line, which holds the version."""
    text = resources.files(__name__).joinpath(f"{name}.md").read_text("utf-8")
    return text.partition("\n")[2].strip()


@cache
def version(name: str) -> str:
    """The version of a prompt, such as `2026-11-21`."""
    text = resources.files(__name__).joinpath(f"{name}.md").read_text("utf-8")
    return text.partition("\n")[0].removeprefix("<!-- version: ").removesuffix(" -->")


def system(*, operator: str | None = None, level: str = "none", spoken: bool = False) -> str:
    """The system prompt. What never changes comes first, so that providers can cache it."""
    parts = [read("assistant")]
    if spoken:
        parts.append(read("speech"))
    if operator:
        parts.append(f"## From the operator of this service\n{operator.strip()}")
    if level in {"emergency", "crisis", "urgent"}:
        parts.append(read(f"after_{level}"))
    return "\n\n".join(parts)
