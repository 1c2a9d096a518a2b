"""A model that answers at once: an OpenAI-compatible chat server that thinks for no time.

    [PACE=0.25] uvicorn chat_model:app --app-dir bench --port 9200

With `PACE` it speaks like a slow one instead: so many seconds pass before each word.

Every request gets the same streamed answer, a chunk a word, written out beforehand.
"""

import asyncio
import json
import os
from typing import Any

PACE = float(os.environ.get("PACE", "0"))
ANSWER = "Rest, drink enough and see a pharmacist if it does not get better [1]."


def _line(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _frame({"choices": [choice]})


def _frame(fields: dict[str, Any]) -> bytes:
    whole = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "instant"}
    return b"data: " + json.dumps(whole | fields).encode() + b"\n\n"


USAGE = {"prompt_tokens": 900, "completion_tokens": 15, "total_tokens": 915}
CHUNKS = (
    _line({"role": "assistant", "content": ""}),
    *(_line({"content": f"{word} "}) for word in ANSWER.split()),
    _line({}, "stop"),
    _frame({"choices": [], "usage": USAGE}),
    b"data: [DONE]\n\n",
)
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send(START)
    for chunk in CHUNKS:
        if PACE:
            await asyncio.sleep(PACE)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
