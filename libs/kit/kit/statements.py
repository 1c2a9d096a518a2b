"""Statements as spans, by what they do to which table; never their text, never their values."""

import re
from functools import lru_cache
from typing import Any

from telemetry import Kind, past
from telemetry.spans import tracing

_TABLE = re.compile(r"\b(?:from|into|update)\s+((?:only\s+)?[a-z_]+(?:\.[a-z_]+)?)", re.IGNORECASE)
_VERB = re.compile(r"\s*([a-z]+)", re.IGNORECASE)
_ALONE = frozenset({"COMMIT", "ROLLBACK"})


def record_statements(connection: Any) -> None:
    """From now on the connection's statements are spans, where the running service has a tracer."""
    if tracing.get() is not None:
        connection.add_query_logger(_record)


def _record(done: Any) -> None:
    operation, table = _about(done.query)
    if not table and operation not in _ALONE:
        return  # settings of the transaction, and the like
    told = {"db.system.name": "postgresql", "db.operation.name": operation}
    if table:
        told["db.collection.name"] = table
    failure = type(done.exception).__qualname__ if done.exception is not None else None
    name = f"{operation} {table}".strip()
    past(name, Kind.CLIENT, done.elapsed, told, failure=failure)


@lru_cache(maxsize=1024)
def _about(query: str) -> tuple[str, str]:
    """What a statement does, and the first table that it names."""
    verb, table = _VERB.match(query), _TABLE.search(query)
    return (verb[1].upper() if verb else "", table[1] if table else "")
