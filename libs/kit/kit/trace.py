"""Request id and W3C trace context, carried through HTTP, tasks and events by context variables."""

import re
import secrets
from contextvars import ContextVar

from telemetry.context import child_of, traceparent

__all__ = ["accept_request_id", "outgoing_headers", "request_id", "traceparent"]

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{8,128}")

request_id: ContextVar[str] = ContextVar("request_id", default="")


def accept_request_id(offered: str | None) -> str:
    """The offered id when it is 8 to 128 letters, digits and `._:-`, else a new one."""
    if offered and _SANE_REQUEST_ID.fullmatch(offered):
        return offered
    return secrets.token_hex(16)


def outgoing_headers() -> dict[str, str]:
    """Headers for a call to another service on behalf of what is going on now."""
    headers = {"traceparent": traceparent.get() or child_of(None)}
    if current := request_id.get():
        headers["x-request-id"] = current
    return headers
