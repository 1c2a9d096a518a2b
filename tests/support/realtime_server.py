"""An OpenAI Realtime server for tests: speaks the wire strictly, and as well as it is told to.

Each word that it says is a tone of a quarter of a second. It hears the next line of its script in
each stretch of sound that is committed.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

import voice_parts
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

Mode = Literal["works", "refuses", "dies", "hangs", "mute", "deaf"]
"""`dies` breaks off after three words, `hangs` answers after 12 s, `mute` never sends a response,
`deaf` never a transcript."""

HANGS = 12.0
DIES_AFTER = 3
LEAST = 24_000 * 2 // 10
"""Bytes of the least sound that can be committed: a tenth of a second."""

_EVENTS: dict[str, set[str]] = {
    "session.update": {"session"},
    "conversation.item.create": {"item", "previous_item_id"},
    "conversation.item.delete": {"item_id"},
    "conversation.item.truncate": {"item_id", "content_index", "audio_end_ms"},
    "input_audio_buffer.append": {"audio"},
    "input_audio_buffer.commit": set(),
    "input_audio_buffer.clear": set(),
    "response.create": {"response"},
    "response.cancel": {"response_id"},
}
_SESSION = {
    "type", "model", "output_modalities", "audio", "max_output_tokens", "tool_choice", "tracing",
    "instructions", "truncation", "reasoning", "tools",
}  # fmt: skip
_RESPONSE = {"instructions", "metadata", "tool_choice", "tools", "max_output_tokens"}


@dataclass(frozen=True)
class Call:
    """The model asks for a tool."""

    name: str
    arguments: dict[str, Any]


@dataclass
class RealtimeServer:
    """What is heard and said in turn, the last line for ever; and what came in."""

    hears: list[str] = field(default_factory=list)
    says: list[str | Call] = field(default_factory=lambda: ["All is well with the model today."])
    mode: Mode = "works"
    key: str = "sk-test"
    delay: float = 0.0
    most: int | None = None
    """So many words of an answer are as long as one may be."""
    sessions: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    responses: list[dict[str, Any]] = field(default_factory=list)
    truncated: list[dict[str, Any]] = field(default_factory=list)
    committed: list[bytes] = field(default_factory=list)
    """The sound of each stretch."""
    connections: int = 0

    async def _serve(self, socket: WebSocket) -> None:
        if self.mode == "refuses" or socket.headers.get("authorization") != f"Bearer {self.key}":
            refusal = {"error": {"message": "Incorrect API key provided", "type": "invalid"}}
            await socket.send_denial_response(JSONResponse(refusal, status_code=401))
            return
        if not socket.query_params.get("model"):
            await socket.send_denial_response(JSONResponse({"error": "no model"}, status_code=400))
            return
        await socket.accept()
        self.connections += 1
        talk = _Talk(self, socket)
        try:
            await talk.run()
        except WebSocketDisconnect:
            pass
        finally:
            await talk.close()

    def app(self) -> Starlette:
        return Starlette(routes=[WebSocketRoute("/v1/realtime", self._serve)])

    def next_words(self) -> str:
        return self.hears.pop(0) if self.hears else ""

    def next_answer(self) -> str | Call:
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]


class _Talk:
    """One connection."""

    def __init__(self, server: RealtimeServer, socket: WebSocket) -> None:
        self._server, self._socket = server, socket
        self._ids = count(1)
        self._last: str | None = None
        self._known: dict[str, dict[str, Any]] = {}
        self._sound = b""
        self._response: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        await self._send("session.created", session={"id": self._id("sess"), "type": "realtime"})
        while True:
            event = json.loads(await self._socket.receive_text())
            if fault := self._fault(event):
                self._server.faults.append(fault)
                await self._refuse(event, fault)
                continue
            await getattr(self, "_" + event["type"].replace(".", "_"))(event)

    async def close(self) -> None:
        for task in [*self._tasks, *([self._response] if self._response else [])]:
            task.cancel()

    def _fault(self, event: dict[str, Any]) -> str | None:
        kind = event.get("type")
        if kind not in _EVENTS:
            return f"unknown event {kind}"
        unknown = set(event) - _EVENTS[kind] - {"type", "event_id"}
        if unknown:
            return f"{kind}: unknown {sorted(unknown)}"
        if kind == "session.update":
            return _session_fault(event["session"])
        if kind == "response.create" and set(event.get("response") or {}) - _RESPONSE:
            return f"response.create: unknown {sorted(set(event['response']) - _RESPONSE)}"
        if kind.startswith("conversation.item.") and kind != "conversation.item.create":
            return None if event["item_id"] in self._known else f"{kind}: no such item"
        return None

    async def _session_update(self, event: dict[str, Any]) -> None:
        self._server.sessions.append(event["session"])
        await self._send("session.updated", session={"id": "sess", "type": "realtime"})

    async def _conversation_item_create(self, event: dict[str, Any]) -> None:
        item = {"id": self._id("item"), "status": "completed", "object": "realtime.item"}
        item.update({k: v for k, v in event["item"].items() if v is not None})
        await self._add(item, event.get("previous_item_id"))

    async def _conversation_item_delete(self, event: dict[str, Any]) -> None:
        self._known.pop(event["item_id"])
        await self._send("conversation.item.deleted", item_id=event["item_id"])

    async def _conversation_item_truncate(self, event: dict[str, Any]) -> None:
        self._server.truncated.append(event)
        rest = {k: event[k] for k in ("item_id", "content_index", "audio_end_ms")}
        await self._send("conversation.item.truncated", **rest)

    async def _input_audio_buffer_append(self, event: dict[str, Any]) -> None:
        try:
            self._sound += base64.b64decode(event["audio"], validate=True)
        except binascii.Error:
            self._server.faults.append("append: no base64")

    async def _input_audio_buffer_clear(self, _: dict[str, Any]) -> None:
        self._sound = b""
        await self._send("input_audio_buffer.cleared")

    async def _input_audio_buffer_commit(self, event: dict[str, Any]) -> None:
        if len(self._sound) < LEAST:
            self._server.faults.append("commit: too little sound")
            await self._refuse(event, "buffer too small", "input_audio_buffer_commit_empty")
            return
        self._server.committed.append(self._sound)
        self._sound = b""
        item_id, previous = self._id("item"), self._last
        await self._send("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous)
        part = {"type": "input_audio", "transcript": None}
        await self._add(
            {"id": item_id, "type": "message", "role": "user", "status": "completed",
             "content": [part]},
            None,
        )  # fmt: skip
        self._spawn(self._transcribe(item_id, self._server.next_words()))

    async def _transcribe(self, item_id: str, words: str) -> None:
        if self._server.mode == "hangs":
            await asyncio.sleep(HANGS)
        if self._server.mode == "deaf":
            return
        await asyncio.sleep(self._server.delay)
        kind = "conversation.item.input_audio_transcription"
        for word in words.split():
            await self._send(f"{kind}.delta", item_id=item_id, content_index=0, delta=word + " ")
        usage = {"type": "duration", "seconds": 1}
        await self._send(
            f"{kind}.completed", item_id=item_id, content_index=0, transcript=words, usage=usage
        )

    async def _response_create(self, event: dict[str, Any]) -> None:
        asked = event.get("response") or {}
        self._server.responses.append(asked)
        if self._response is not None and not self._response.done():
            await self._refuse(
                event, "one response at a time", "conversation_already_has_active_response"
            )
            return
        self._response = asyncio.create_task(self._respond(asked))

    async def _response_cancel(self, event: dict[str, Any]) -> None:
        if self._response is None or self._response.done():
            await self._refuse(event, "Cancellation failed: no active response found")
            return
        self._response.cancel()

    async def _respond(self, asked: dict[str, Any]) -> None:
        mode = self._server.mode
        if mode == "hangs":
            await asyncio.sleep(HANGS)
        if mode == "mute":
            return
        await asyncio.sleep(self._server.delay)
        response: dict[str, Any] = {
            "id": self._id("resp"), "object": "realtime.response", "output": [],
            "metadata": asked.get("metadata"),
        }  # fmt: skip
        await self._send("response.created", response={**response, "status": "in_progress"})
        status, details = "cancelled", None
        try:
            answer = self._server.next_answer()
            if isinstance(answer, Call):
                await self._ask_for(answer, response["id"])
            else:
                said = " ".join(answer.split()[: self._server.most])
                await self._speak(said, response["id"], dies=mode == "dies")
                if said != answer:
                    details = {"type": "incomplete", "reason": "max_output_tokens"}
            status = "completed" if details is None else "incomplete"
        finally:
            usage = {
                "input_tokens": 10, "output_tokens": 20, "total_tokens": 30,
                "input_token_details": {"text_tokens": 4, "audio_tokens": 6, "cached_tokens": 0},
                "output_token_details": {"text_tokens": 5, "audio_tokens": 15},
            }  # fmt: skip
            await self._send(
                "response.done",
                response={
                    **response, "status": status, "status_details": details, "usage": usage,
                },
            )  # fmt: skip

    async def _ask_for(self, call: Call, response_id: str) -> None:
        item = {
            "id": self._id("item"), "type": "function_call", "name": call.name,
            "call_id": self._id("call"), "arguments": json.dumps(call.arguments),
            "status": "completed",
        }  # fmt: skip
        place = {"response_id": response_id, "output_index": 0}
        await self._send("response.output_item.added", item=item, **place)
        await self._add(item, None)
        await self._send("response.output_item.done", item=item, **place)

    async def _speak(self, text: str, response_id: str, *, dies: bool) -> None:
        item = {
            "id": self._id("item"), "type": "message", "role": "assistant",
            "status": "in_progress", "content": [],
        }  # fmt: skip
        place = {"response_id": response_id, "output_index": 0}
        await self._send("response.output_item.added", item=item, **place)
        await self._add(item, None)
        within = {**place, "item_id": item["id"], "content_index": 0}
        await self._send("response.content_part.added", part={"type": "audio"}, **within)
        for number, word in enumerate(text.split()):
            if dies and number == DIES_AFTER:
                await self._socket.close(1011)
                return
            await self._send("response.output_audio_transcript.delta", delta=word + " ", **within)
            sound = base64.b64encode(voice_parts.tone(number)).decode()
            await self._send("response.output_audio.delta", delta=sound, **within)
            await asyncio.sleep(0)
        await self._send("response.output_audio_transcript.done", transcript=text, **within)
        await self._send("response.output_audio.done", **within)
        part = {"type": "output_audio", "transcript": text}
        done = {**item, "status": "completed", "content": [part]}
        await self._send("response.output_item.done", item=done, **place)

    async def _add(self, item: dict[str, Any], after: str | None) -> None:
        previous = None if after == "root" else (after or self._last)
        self._known[item["id"]] = item
        self._server.items.append(item)
        self._last = item["id"]
        for kind in ("added", "done"):
            await self._send(f"conversation.item.{kind}", item=item, previous_item_id=previous)

    async def _refuse(self, event: dict[str, Any], message: str, code: str | None = None) -> None:
        error = {
            "type": "invalid_request_error", "code": code, "message": message, "param": None,
            "event_id": event.get("event_id"),
        }  # fmt: skip
        await self._send("error", error=error)

    async def _send(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "event_id": self._id("event"), **fields}
        try:
            await self._socket.send_text(json.dumps(event))
        except (RuntimeError, WebSocketDisconnect):
            self._server.connections += 0  # the client has gone; nothing is owed to it

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{id(self):x}_{next(self._ids)}"

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _session_fault(session: dict[str, Any]) -> str | None:
    if session.get("type") != "realtime":
        return "session.update: type"
    if unknown := set(session) - _SESSION:
        return f"session.update: unknown {sorted(unknown)}"
    listening = (session.get("audio") or {}).get("input") or {}
    if listening.get("turn_detection") is not None:
        return "session.update: the server was to take turns"
    return None


def roles(items: Sequence[dict[str, Any]]) -> list[str]:
    """Who said each item of a conversation."""
    return [item.get("role", item["type"]) for item in items]
