"""Request id and W3C trace context, carried through HTTP, tasks and events by context variables."""

import re
import secrets
from contextvars import ContextVar

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{8,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

request_id: ContextVar[str] = ContextVar("request_id", default="")
traceparent: ContextVar[str] = ContextVar("traceparent", default="")


def accept_request_id(offered: str | None) -> str:
    """The offered id when it is 8 to 128 letters, digits and `._:-`, else a new one."""
    if offered and _SANE_REQUEST_ID.fullmatch(offered):
        return offered
    return secrets.token_hex(16)


def accept_traceparent(offered: str | None) -> str:
    """The context of our own span: a child of the offered one, else the root of a new trace."""
    if offered and _TRACEPARENT.fullmatch(offered):
        return f"{offered[:36]}{secrets.token_hex(8)}{offered[52:]}"
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def outgoing_headers() -> dict[str, str]:
    """Headers for a call to another service on behalf of what is going on now."""
    headers = {"traceparent": accept_traceparent(traceparent.get())}
    if current := request_id.get():
        headers["x-request-id"] = current
    return headers
