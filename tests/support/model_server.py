"""An OpenAI-compatible chat server for tests: speaks the wire strictly, says what it is told to.

What the product asks for in the background, titles and summaries, is recorded and answered apart,
so that scripts are those of the replies.

A step of a script is `Say`, `CallTool`, `Refuse`, `Hang`, `Cut`, `Raw`, `Pause` or `Until`; each
request takes the next script, the last one for ever.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass(frozen=True)
class Say:
    """A token or more."""

    text: str


@dataclass(frozen=True)
class CallTool:
    """A function call, its arguments in two pieces."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Refuse:
    """An HTTP error."""

    status: int


@dataclass(frozen=True)
class Pause:
    """Seconds of silence."""

    seconds: float


@dataclass(frozen=True)
class Until:
    """Silence until the test has seen what it waits for."""

    seen: asyncio.Event


@dataclass(frozen=True)
class Raw:
    """A chunk as it stands, for what no honest server sends."""

    chunk: dict[str, Any]


class Hang:
    """Silence for ever."""


class Cut:
    """The connection breaks."""


Step = Say | CallTool | Refuse | Pause | Until | Raw | Hang | Cut


@dataclass
class ModelServer:
    """What was asked, and what is answered."""

    scripts: list[list[Step]]
    requests: list[dict[str, Any]] = field(default_factory=list)
    aside: list[Step] = field(default_factory=lambda: [Refuse(503)])
    asides: list[dict[str, Any]] = field(default_factory=list)

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        if fault := _fault(request, body):
            return JSONResponse({"error": {"message": fault, "type": "invalid"}}, status_code=400)
        if "<material>" in str(body["messages"][-1]["content"]):
            self.asides.append(body)
            script = self.aside
        else:
            self.requests.append(body)
            script = self.scripts[min(len(self.requests), len(self.scripts)) - 1]
        if isinstance(script[0], Refuse):
            return JSONResponse({"error": {"message": "no"}}, status_code=script[0].status)
        return StreamingResponse(_stream(script), media_type="text/event-stream")

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self._chat, methods=["POST"])])


def _fault(request: Request, body: dict[str, Any]) -> str | None:
    if not request.headers.get("authorization", "").startswith("Bearer "):
        return "no key"
    if not body.get("model") or body.get("stream") is not True:
        return "wants a model and a stream"
    asked: set[str] = set()
    for message in body["messages"]:
        if message["role"] not in {"system", "user", "assistant", "tool"}:
            return "unknown role"
        asked |= {call["id"] for call in message.get("tool_calls") or ()}
        if message["role"] == "tool" and message["tool_call_id"] not in asked:
            return "a tool answers that was not called"
    return None


async def _stream(script: list[Step]) -> AsyncIterator[bytes]:
    yield _chunk({"role": "assistant", "content": ""})
    index = 0
    for step in script:
        match step:
            case Say(text):
                yield _chunk({"content": text})
            case CallTool(name, arguments):
                raw = json.dumps(arguments)
                function = {"name": name, "arguments": raw[:5]}
                call = {"index": index, "id": f"c{index}", "type": "function", "function": function}
                yield _chunk({"tool_calls": [call]})
                rest = {"index": index, "function": {"arguments": raw[5:]}}
                yield _chunk({"tool_calls": [rest]})
                index += 1
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Until(seen):
                await seen.wait()
            case Raw(chunk):
                yield _line(chunk)
            case Hang():
                await asyncio.sleep(3600)
            case _:
                raise ConnectionResetError
        await asyncio.sleep(0)
    yield _chunk({}, finish="tool_calls" if index else "stop")
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    yield _line({"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return _line({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _line(fields: dict[str, Any]) -> bytes:
    frame = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "test", **fields}
    return b"data: " + json.dumps(frame).encode() + b"\n\n"
