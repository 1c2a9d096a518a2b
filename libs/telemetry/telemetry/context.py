"""The W3C trace context of what is going on now: the one thing that spans and calls go by.

It is a text in a context variable, whether spans are recorded or not: logs, events and calls to
other services read it, and a span that is recorded begins at it and takes its place.
"""

import re
import secrets
from contextvars import ContextVar

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

traceparent: ContextVar[str] = ContextVar("traceparent", default="")


def sane(offered: str | None) -> str:
    """The offered context when it is one, else an empty text."""
    return offered if offered and _TRACEPARENT.fullmatch(offered) else ""


def child_of(offered: str | None) -> str:
    """A context of our own: a child of the offered one, else the root of a new trace."""
    if sane(offered):
        assert offered is not None
        return f"{offered[:36]}{secrets.token_hex(8)}{offered[52:]}"
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
