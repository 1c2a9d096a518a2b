"""Whether a service lives: `medbot health 8001`, or `python -m medbot.health 8001`, which takes a
tenth of the work. Containers ask every few seconds, so nothing but the standard library is here."""

import http.client
import sys

WITHIN = 3.0


def wrong(port: int) -> str | None:
    """What is wrong with the service on this machine's `port`; None when it lives."""
    connection = http.client.HTTPConnection("localhost", port, timeout=WITHIN)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return f"nothing answers on port {port}"
    finally:
        connection.close()
    return None if status == http.client.OK else f"the service on port {port} answers {status}"


if __name__ == "__main__":
    sys.exit(wrong(int(sys.argv[1])))
