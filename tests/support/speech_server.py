"""OpenAI's transcription and speech endpoints for tests: strict on the wire, scripted.

Each word that it says is a tone of a quarter of a second.
"""

import asyncio
import base64
import email
import io
import json
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, Literal

import voice_parts
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Mode = Literal["works", "refuses", "dies", "hangs", "stalls"]
HANGS = 12.0
DIES_AFTER = 3
_TRANSCRIPTION = {
    "file", "model", "language", "response_format", "temperature", "prompt", "languages[]",
    "keywords[]",
}  # fmt: skip
_SPEECH = {"input", "model", "voice", "response_format", "speed", "stream_format", "instructions"}


@dataclass
class SpeechServer:
    """What is heard, in order; and what came in."""

    hears: list[str] = field(default_factory=list)
    hearing: Mode = "works"
    speaking: Mode = "works"
    key: str = "sk-test"
    heard: list[float] = field(default_factory=list)
    """Seconds of each recording that came in."""
    said: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def _transcribe(self, request: Request) -> Response:
        if refusal := self._refused(request, self.hearing):
            return refusal
        form = await _form(request)
        if unknown := set(form) - _TRANSCRIPTION:
            return self._fault(f"transcriptions: unknown {sorted(unknown)}")
        if not form.get("file") or not form.get("model"):
            return self._fault("transcriptions: wants a file and a model")
        with wave.open(io.BytesIO(form["file"])) as sound:
            self.heard.append(sound.getnframes() / sound.getframerate())
        if self.hearing == "hangs":
            await asyncio.sleep(HANGS)
        if self.hearing == "dies":
            return StreamingResponse(_cut(b'{"text": "I h'), media_type="application/json")
        return JSONResponse({"text": self.hears.pop(0) if self.hears else ""})

    async def _speak(self, request: Request) -> Response:
        if refusal := self._refused(request, self.speaking):
            return refusal
        body = await request.json()
        if unknown := set(body) - _SPEECH:
            return self._fault(f"speech: unknown {sorted(unknown)}")
        if not body.get("input") or body.get("response_format") != "pcm":
            return self._fault("speech: wants an input, as pcm")
        self.said.append(body)
        if self.speaking == "hangs":
            await asyncio.sleep(HANGS)
        spoken = _speech(body["input"], self.speaking)
        return StreamingResponse(spoken, media_type="text/event-stream")

    def routes(self) -> list[Route]:
        return [
            Route("/v1/audio/transcriptions", self._transcribe, methods=["POST"]),
            Route("/v1/audio/speech", self._speak, methods=["POST"]),
        ]

    def app(self) -> Starlette:
        return Starlette(routes=self.routes())

    def _refused(self, request: Request, mode: Mode) -> Response | None:
        if mode == "refuses" or request.headers.get("authorization") != f"Bearer {self.key}":
            refusal = {"error": {"message": "Incorrect API key provided", "type": "invalid"}}
            return JSONResponse(refusal, status_code=401)
        return None

    def _fault(self, what: str) -> Response:
        self.faults.append(what)
        return JSONResponse({"error": {"message": what, "type": "invalid"}}, status_code=400)


async def _form(request: Request) -> dict[str, bytes]:
    """The fields of a multipart form."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    form = email.message_from_bytes(head + await request.body())
    parts = form.get_payload()
    assert isinstance(parts, list)
    fields = {}
    for part in parts:
        assert isinstance(part, Message)
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        fields[str(name)] = content
    return fields


async def _speech(text: str, mode: Mode) -> AsyncIterator[bytes]:
    for place, _ in enumerate(text.split()):
        if mode == "dies" and place == DIES_AFTER:
            raise ConnectionResetError
        if mode == "stalls" and place == DIES_AFTER:
            await asyncio.sleep(HANGS)
        audio = base64.b64encode(voice_parts.tone(place)).decode()
        yield _line({"type": "speech.audio.delta", "audio": audio})
        await asyncio.sleep(0)
    usage = {"input_tokens": 5, "output_tokens": 50, "total_tokens": 55}
    yield _line({"type": "speech.audio.done", "usage": usage})


async def _cut(start: bytes) -> AsyncIterator[bytes]:
    yield start
    raise ConnectionResetError


def _line(event: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"
