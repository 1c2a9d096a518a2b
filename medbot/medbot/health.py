"""Whether a service lives; containers ask every few seconds, so little is imported."""

import httpx

from medbot.terminal import Failed


def ask(port: int) -> None:
    """Asks the service on this machine's `port` whether it lives.

    Raises:
        Failed: it does not.
    """
    try:
        answer = httpx.get(f"http://localhost:{port}/health", timeout=3)
    except httpx.HTTPError as error:
        raise Failed(f"nothing answers on port {port}") from error
    if answer.status_code != httpx.codes.OK:
        raise Failed(f"the service on port {port} answers {answer.status_code}")
