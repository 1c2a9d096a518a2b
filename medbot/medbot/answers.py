"""`docs/answers.md`: what library mode says to everyday questions, for people to read through."""

from pathlib import Path

from assistant import extractive, safety
from assistant.reply import Assistant
from assistant.turns import Citation, Text
from conversation_service.settings import Settings
from kit import settings
from medbot import shelf

_HEADER = """\
# What the library answers

Made by `medbot answers` from `questions.txt` beside it: no model, no key. What the safety gate
says first stands in a quotation.
"""


def path() -> Path:
    """Where they are kept; the questions lie beside them."""
    return settings.home() / "docs" / "answers.md"


def generate(chosen: Settings) -> str:
    """Every question with its answer.

    Raises:
        Failed: the library cannot be opened.
    """
    library = shelf.open_library(chosen)
    assistant = Assistant(library, extractive.open_composer(library))
    questions = path().with_name("questions.txt").read_text(encoding="utf-8").splitlines()
    asked = [question for question in questions if question.strip()]
    return "\n".join([_HEADER, *(_entry(assistant, question) for question in asked)])


def _entry(assistant: Assistant, question: str) -> str:
    assessed = safety.assess(question)
    pieces = list(assistant.from_library(question, (), level=assessed.level))
    parts = [f"## {question}"]
    if assessed.message:
        parts.append(f"> **{assessed.level}.** {assessed.message}")
    parts.append("".join(piece.text for piece in pieces if isinstance(piece, Text)))
    if cited := [piece for piece in pieces if isinstance(piece, Citation)]:
        parts.append("\n".join(_sources(cited)))
    return "\n\n".join(parts) + "\n"


def _sources(cited: list[Citation]) -> list[str]:
    """A line a page, with all markers that name it."""
    pages: dict[str, str] = {}
    for citation in cited:
        page = f"{citation.title}: [{citation.source}]({citation.url})"
        pages[page] = pages.get(page, "") + f"[{citation.marker}]"
    return [f"- {markers} {page}" for page, markers in pages.items()]
