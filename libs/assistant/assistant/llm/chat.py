"""One streamed call to one provider, with a deadline for its first token and for every next one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from openai import AsyncOpenAI, AsyncStream, DefaultAsyncHttpxClient

from assistant.llm.providers import Provider
from assistant.turns import Text, Usage
from kit.circuit import Circuit
from telemetry import Aside, Kind, catalogue

STALLS_AFTER = 20.0
"""Seconds between two tokens after which a stream counts as dead."""

LEFT_ALONE = "left alone"
"""The reason of a failure for which nobody was asked: its circuit is open."""

FAILURES = 3
PAUSE = 10.0

_ITS_OWN = frozenset({
    "too slow", "APIConnectionError", "APITimeoutError", "APIError", "InternalServerError",
    "RateLimitError", "AuthenticationError", "PermissionDeniedError", "NotFoundError",
    "RemoteProtocolError", "ReadError", "ReadTimeout",
})  # fmt: skip
"""Reasons that lie with the provider; no question can bring them about, so they count."""

MAX_TOKENS = 1200
MAX_ARGUMENTS = 4_000
"""Characters of a tool call's arguments; a model that writes more has lost its way."""


class ProviderFailed(Exception):
    """A provider refused, broke off or was too slow; `reason` is safe to log."""

    def __init__(self, provider: str, reason: str) -> None:
        self.provider = provider
        self.reason = reason
        super().__init__(f"{provider}: {reason}")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model asks for a tool; `arguments` is None when they are no JSON object."""

    id: str
    name: str
    raw: str
    arguments: dict[str, Any] | None


class Chat:
    """A client of one provider, open for as long as the host lives."""

    def __init__(
        self,
        provider: Provider,
        http: DefaultAsyncHttpxClient,
        *,
        first_token: float,
        temperature: float | None = None,
        max_tokens: int = MAX_TOKENS,
        circuit: Circuit | None = None,
    ) -> None:
        self.provider = provider
        self._circuit = circuit or Circuit(provider.name, failures=FAILURES, pause=PAUSE)
        self._http, self._first_token = http, first_token
        self._temperature, self._max_tokens = temperature, max_tokens
        self._client = AsyncOpenAI(
            api_key=provider.key, base_url=provider.base_url, http_client=http, max_retries=0
        )

    def tuned(self, *, temperature: float | None, max_tokens: int | None) -> "Chat":
        """The same provider over the same pool, with these where they are not None."""
        return Chat(
            self.provider,
            self._http,
            first_token=self._first_token,
            temperature=self._temperature if temperature is None else temperature,
            max_tokens=self._max_tokens if max_tokens is None else max_tokens,
            circuit=self._circuit,
        )

    async def stream(
        self,
        messages: Sequence[dict[str, Any]],
        tools: Sequence[dict[str, Any]],
        *,
        aside: bool = False,
    ) -> AsyncIterator[Text | ToolCall | Usage]:
        """Yields text as it comes, then the tool calls that the model asks for, then usage.

        Nobody waits for an `aside`, so what comes of it says nothing about the provider.

        Raises:
            ProviderFailed: at any point; text may have been yielded before. At once, with the
                reason `LEFT_ALONE`, where it has failed too often lately.
        """
        if self._circuit.open if aside else not self._circuit.admits():
            raise ProviderFailed(self.provider.name, LEFT_ALONE)
        told = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self.provider.name,
            "gen_ai.request.model": self.provider.model,
        }
        span = Aside(f"chat {self.provider.model}", Kind.CLIENT, told)
        try:
            async for piece in self._stream(messages, tools, span):
                yield piece
            if not aside:
                self._circuit.answered()
        except ProviderFailed as failed:
            if failed.reason in _ITS_OWN and not aside:
                self._circuit.failed()
            span.end(failed.reason)
            raise
        finally:
            span.end()

    async def _stream(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]], span: Aside
    ) -> AsyncIterator[Text | ToolCall | Usage]:
        started = time.monotonic()
        calls: dict[int, _Growing] = {}
        first: int | None = None
        usage: object = None
        letters = _Letters()
        async for chunk in self._chunks(messages, tools, started, span.headers):
            usage = chunk.get("usage") or usage
            for delta in _deltas(chunk):
                if first is None:
                    first = round((time.monotonic() - started) * 1000)
                if text := letters.whole(delta.get("content")):
                    yield Text(text)
                for part in delta.get("tool_calls") or ():
                    self._grow(calls, part)
        if first is None:
            raise ProviderFailed(self.provider.name, "answered nothing")
        for call in calls.values():
            yield call.finished()
        used = Usage(
            self.provider.name,
            self.provider.model,
            _tokens(usage, "prompt_tokens"),
            _tokens(usage, "completion_tokens"),
            first,
        )
        _count(used, span)
        yield used

    async def _chunks(
        self,
        messages: Sequence[Any],
        tools: Sequence[Any],
        started: float,
        headers: dict[str, str],
    ) -> AsyncIterator[dict[str, Any]]:
        """The provider's chunks, each within its deadline.

        As plain JSON: to make typed objects of every chunk, and to check the messages against
        their types, takes more of a core than everything else that a streamed reply needs.
        """
        within = self._first_token
        stream: AsyncStream[object] | None = None
        try:
            async with asyncio.timeout(within):
                stream = await self._client.post(
                    "/chat/completions",
                    body=self._body(messages, tools),
                    options={"headers": headers} if headers else {},
                    cast_to=object,
                    stream=True,
                    stream_cls=AsyncStream[object],
                )
            chunks = stream.__aiter__()
            while True:
                spoken = within == STALLS_AFTER
                left = within if spoken else max(0.0, within - (time.monotonic() - started))
                async with asyncio.timeout(left):
                    try:
                        chunk = await chunks.__anext__()
                    except StopAsyncIteration:
                        return
                if not isinstance(chunk, dict):
                    raise TypeError
                if _deltas(chunk):
                    within = STALLS_AFTER
                yield chunk
        except TimeoutError:
            raise ProviderFailed(self.provider.name, "too slow") from None
        except Exception as error:  # whatever a provider sends, it must not end the reply
            raise ProviderFailed(self.provider.name, type(error).__name__) from None
        finally:
            if stream is not None:
                await stream.close()

    def _body(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.provider.model,
            "messages": list(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_completion_tokens": self._max_tokens,
        }
        if tools:
            body["tools"] = list(tools)
        if self._temperature is not None:
            body["temperature"] = self._temperature
        return body

    def _grow(self, calls: dict[int, "_Growing"], part: Any) -> None:
        try:
            call = calls.setdefault(part["index"], _Growing())
            call.id = part.get("id") or call.id
            if (function := part.get("function")) is not None:
                call.name = function.get("name") or call.name
                call.raw += function.get("arguments") or ""
        except (AttributeError, KeyError, TypeError) as error:
            raise ProviderFailed(self.provider.name, type(error).__name__) from None
        if len(call.raw) > MAX_ARGUMENTS:
            raise ProviderFailed(self.provider.name, "endless tool arguments")


def _count(used: Usage, span: Aside) -> None:
    catalogue.MODEL_SECONDS.observe(used.first_token_ms / 1000, used.provider, used.model)
    span.note(
        {
            "gen_ai.usage.input_tokens": used.prompt_tokens,
            "gen_ai.usage.output_tokens": used.completion_tokens,
        }
    )


def _tokens(usage: object, kind: str) -> int:
    count = usage.get(kind) if isinstance(usage, dict) else None
    return count if isinstance(count, int) else 0


def _deltas(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    """The deltas of a chunk that say something; nobody has checked what a provider sends."""
    choices = chunk.get("choices")
    deltas = [
        choice.get("delta")
        for choice in (choices if isinstance(choices, list) else ())
        if isinstance(choice, dict)
    ]
    return [
        delta
        for delta in deltas
        if isinstance(delta, dict)
        and (isinstance(delta.get("content"), str) or delta.get("tool_calls"))
        and (delta.get("content") or delta.get("tool_calls"))
    ]


@dataclass(slots=True)
class _Letters:
    """Joins characters that a stream has cut in two; drops what no database can hold."""

    half: str = ""

    def whole(self, text: object) -> str:
        if not isinstance(text, str):
            return ""
        text, self.half = self.half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self.half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "")


@dataclass(slots=True)
class _Growing:
    """A tool call whose parts are still coming in."""

    id: str = ""
    name: str = ""
    raw: str = ""

    def finished(self) -> ToolCall:
        try:
            arguments = json.loads(self.raw or "{}")
        except json.JSONDecodeError:
            arguments = None
        if not isinstance(arguments, dict):
            arguments = None
        return ToolCall(self.id, self.name, self.raw, arguments)
