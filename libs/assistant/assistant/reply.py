"""A reply: retrieve, ask the models in order, and answer from the library when none of them can.

The gate has run before; its verdict comes in as a level. Library mode is the last provider, so a
reply ends without an answer only when a model broke off after it had begun to speak.
"""

import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import openai
import structlog

from assistant import prompts, tools
from assistant.extractive import Answer
from assistant.knowledge.search import Library
from assistant.llm.chat import LEFT_ALONE, Chat, ProviderFailed, ToolCall
from assistant.llm.markers import Markers
from assistant.llm.providers import Provider
from assistant.tools import search_library
from assistant.turns import Citation, Piece, Text, ToolUse, Turn, Usage
from telemetry import Span, catalogue

ROUNDS = 3
"""How often a model may ask for tools within one reply."""

_SENTENCE = re.compile(r".+?(?:(?<=[.!?:\]])\s+|\n+|$)", re.DOTALL)

_log = structlog.stdlib.get_logger(__name__)


class ReplyFailed(Exception):
    """A model broke off in the middle of its answer."""


class Composer(Protocol):
    """Answers without a model."""

    def answer(self, question: str, history: Sequence[Turn] = ()) -> Answer: ...

    def spoken(self, question: str, history: Sequence[Turn] = ()) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Assistant:
    """What answers, for as long as its host lives."""

    library: Library
    composer: Composer
    models: tuple[Chat, ...] = ()
    operator_prompt: str | None = None
    spoken: bool = False
    """Whether its words are heard instead of read."""

    async def reply(
        self,
        question: str,
        history: Sequence[Turn],
        *,
        level: str = "none",
        earlier: str = "",
        limited: bool = False,
    ) -> AsyncIterator[Piece]:
        """Yields a reply piece by piece; `level` is the gate's verdict on the question.

        `earlier` sums up what was said before `history`. With `limited` no model is asked, and
        the reply says so, unless somebody is in danger.

        Raises:
            ReplyFailed: nothing more will come, and the reply is not whole.
        """
        for model in () if limited else self.models:
            spoken = False
            try:
                async for piece in self._ask(model, question, history, level, earlier):
                    spoken = spoken or (isinstance(piece, Text) and not piece.text.isspace())
                    yield piece
            except ProviderFailed as failed:
                _tell(failed)
                if spoken:
                    raise ReplyFailed from failed
            if spoken:
                return
        for piece in self.from_library(question, history, level=level):
            yield piece
        if limited and level not in {"crisis", "emergency"}:
            yield Text(f"\n\n{prompts.read('library_limited')}")

    def from_library(
        self, question: str, history: Sequence[Turn], *, level: str = "none"
    ) -> Iterator[Piece]:
        """The reply of library mode, sentence by sentence.

        After an emergency it holds danger signs alone, and after a crisis no library text: what
        fits a calm question may harm now.
        """
        if level == "crisis":
            yield Text(prompts.read("library_crisis"))
            return
        started = time.perf_counter()
        with Span("library"):
            answer = self._composed(question, history)
        catalogue.REPLY_STAGE_SECONDS.observe(time.perf_counter() - started, "library")
        if level == "emergency":
            yield from self._danger_signs(answer)
            return
        if self.spoken:
            yield from answer.citations
        cited = {f"[{citation.marker}]": citation for citation in answer.citations}
        for sentence in _SENTENCE.findall(answer.text):
            for marker in re.findall(r"\[\d+\]", sentence):
                if citation := cited.pop(marker, None):
                    yield citation
            yield Text(sentence)

    def _composed(self, question: str, history: Sequence[Turn]) -> Answer:
        if self.spoken:
            return self.composer.spoken(question, history)
        return self.composer.answer(question, history)

    def _danger_signs(self, answer: Answer) -> Iterator[Piece]:
        yield Text(prompts.read("library_emergency"))
        card = self.library.cards.get(answer.topic or "")
        signs = (
            [section for section in card.sections if section.heading == "Danger signs"]
            if card
            else []
        )
        if card is not None and signs and not answer.declined:
            source = card.sources[0]
            yield Citation(1, card.id, card.title, source.name, source.url, signs[0].text, 1.0)
            yield Text(f"\n\n{signs[0].text} [1]")

    def toolbox(self, given: list[Citation]) -> dict[str, tools.Tool]:
        """What a model may call for one answer, by name, in writing and in speech.

        `given` grows by what the tools find, and its places are the markers.
        """
        made = (search_library.make(self.library, given),)
        return {tool.name: tool for tool in made}

    async def _ask(
        self, model: Chat, question: str, history: Sequence[Turn], level: str, earlier: str
    ) -> AsyncIterator[Piece]:
        given: list[Citation] = []
        started = time.perf_counter()
        with Span("retrieval"):
            hits = self.library.search(question, search_library.PASSAGES)
        catalogue.REPLY_STAGE_SECONDS.observe(time.perf_counter() - started, "retrieval")
        found = search_library.add(given, hits)
        passages = search_library.quote(found)
        messages = self._messages(question, history, level, passages, earlier)
        markers = Markers(given)
        try:
            async for piece in _rounds(model, messages, self.toolbox(given)):
                for shown in markers.feed(piece.text) if isinstance(piece, Text) else (piece,):
                    yield shown
        except ProviderFailed:
            for shown in markers.end():
                yield shown
            raise
        for shown in markers.end():
            yield shown

    def _messages(
        self, question: str, history: Sequence[Turn], level: str, passages: str, earlier: str
    ) -> list[dict[str, Any]]:
        return [
            {
                "role": "system",
                "content": prompts.system(
                    operator=self.operator_prompt, level=level, spoken=self.spoken
                ),
            },
            *_summed_up(earlier),
            *(
                {"role": turn.role, "content": search_library.plain(turn.content)}
                for turn in history
            ),
            {
                "role": "user",
                "content": f"{search_library.plain(question)}\n\n<library>\n{passages}\n</library>",
            },
        ]


def _tell(failed: ProviderFailed) -> None:
    catalogue.FALLBACKS.add(failed.provider, failed.reason)
    if failed.reason != LEFT_ALONE:  # that is said once, when it begins
        _log.warning("model.failed", provider=failed.provider, reason=failed.reason)


@asynccontextmanager
async def open_models(
    providers: Sequence[Provider], *, first_token: float
) -> AsyncIterator[tuple[Chat, ...]]:
    """Clients of all providers over one pool; `first_token` is their deadline in seconds."""
    async with openai.DefaultAsyncHttpxClient(timeout=openai.Timeout(60, connect=2)) as http:
        yield tuple(Chat(provider, http, first_token=first_token) for provider in providers)


async def _rounds(
    model: Chat, messages: list[dict[str, Any]], known: dict[str, tools.Tool]
) -> AsyncIterator[Text | ToolUse | Usage]:
    """Asks a model until it asks for no tool; in the last round it has none."""
    schemas = [tool.schema() for tool in known.values()]
    for left in reversed(range(ROUNDS)):
        calls: list[ToolCall] = []
        async for piece in model.stream(messages, schemas if left else []):
            if isinstance(piece, ToolCall):
                calls.append(piece)
            else:
                yield piece
        if not calls:
            return
        async for use in _use(calls, known, messages):
            yield use


def summed_up(earlier: str) -> str:
    """A summary as a message of the person's: it is made of their words, so no rule of ours."""
    return f"{prompts.read('earlier')}\n\n<earlier>\n{search_library.plain(earlier)}\n</earlier>"


def _summed_up(earlier: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": summed_up(earlier)}] if earlier else []


def _asked(calls: Sequence[ToolCall]) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.raw},
            }
            for call in calls
        ],
    }


async def _use(
    calls: Sequence[ToolCall], known: dict[str, tools.Tool], messages: list[dict[str, Any]]
) -> AsyncIterator[ToolUse]:
    """Runs what a model asked for, and lays the question and the results before it."""
    messages.append(_asked(calls))
    for call in calls:
        name = call.name if call.name in known else "unknown"
        yield ToolUse(name, "started")
        status: Literal["finished", "failed"] = "finished"
        try:
            result = await tools.call(known, call.name, call.arguments)
        except tools.ToolFailed as failed:
            result, status = str(failed), "failed"
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        yield ToolUse(name, status)
