"""`docs/answers.md`: what library mode says to everyday questions, for people to read through."""

from pathlib import Path

from assistant import extractive, safety
from assistant.turns import Citation
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
    composer = extractive.open_composer(shelf.open_library(chosen))
    questions = path().with_name("questions.txt").read_text(encoding="utf-8").splitlines()
    asked = [question for question in questions if question.strip()]
    return "\n".join([_HEADER, *(_entry(composer, question) for question in asked)])


def _entry(composer: extractive.Composer, question: str) -> str:
    assessed, answer = safety.assess(question), composer.answer(question)
    parts = [f"## {question}"]
    if assessed.message:
        parts.append(f"> **{assessed.level}.** {assessed.message}")
    parts.append(answer.text)
    if answer.citations:
        parts.append("\n".join(map(_source, answer.citations)))
    return "\n\n".join(parts) + "\n"


def _source(citation: Citation) -> str:
    return f"- [{citation.marker}] {citation.title}: [{citation.source}]({citation.url})"
