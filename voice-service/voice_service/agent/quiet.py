"""Keeps patients' words out of logs and sessions out of clouds that nobody configured."""

import logging
import os

SWITCHES = (
    "LIVEKIT_DEV_MODE",
    "LIVEKIT_REMOTE_EOT_URL",
    "LIVEKIT_INFERENCE_URL",
    "LIVEKIT_INFERENCE_API_KEY",
    "LIVEKIT_INFERENCE_API_SECRET",
    "LIVEKIT_OBSERVABILITY_URL",
    "LIVEKIT_AGENT_NAME",
    "LIVEKIT_AGENT_NAME_OVERRIDE",
    "LIVEKIT_EVALS_VERBOSE",
)
"""Names in the environment by which the library would send sound or words elsewhere, or rename
the agent so that nobody is dispatched to it."""

_LOGGERS = ("livekit", "livekit.agents", "livekit.plugins.openai")


class WithoutWords(logging.Filter):
    """Drops the fields in which the library puts what was said, and what it does in detail."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets the record through, without those fields."""
        for name in [name for name in record.__dict__ if name.startswith(("lk.pii", "pii."))]:
            del record.__dict__[name]
        return True


_without_words = WithoutWords()


def keep_quiet() -> None:
    """To be called in each process before its first session; a second time is no harm."""
    for name in SWITCHES:
        os.environ.pop(name, None)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _without_words not in logger.filters:
            logger.addFilter(_without_words)
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)
