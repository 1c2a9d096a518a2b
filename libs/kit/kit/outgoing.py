"""Connections to elsewhere: whom they trust, and what they leave alone for a while."""

import os
import ssl
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx

from kit.circuit import Circuit

FAILURES = 5
PAUSE = 1.0
"""After so many failures in a row a service is not asked for so many seconds."""


def trusted() -> ssl.SSLContext:
    """For `verify` of HTTP clients; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others to trust."""
    return _read(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _read(file: str | None, folder: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()


def to_services(
    *, clock: Callable[[], float] = time.monotonic, **options: Any
) -> httpx.AsyncClient:
    """A client of our own services; `options` are those of httpx.

    One that cannot be reached or is too slow, again and again, is left alone for a moment: whoever
    asks meanwhile gets httpx.ConnectError at once. Proxies of the environment are not for it.
    """
    return httpx.AsyncClient(transport=_Sparing(clock), trust_env=False, **options)


class _Sparing(httpx.AsyncHTTPTransport):
    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(verify=trusted())
        self._clock = clock
        self._circuits: dict[str, Circuit] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        place = f"{request.url.host}:{request.url.port}"
        if (circuit := self._circuits.get(place)) is None:
            circuit = Circuit(place, failures=FAILURES, pause=PAUSE, clock=self._clock)
            self._circuits[place] = circuit
        if not circuit.admits():
            raise httpx.ConnectError("left alone for a while", request=request)
        try:
            answer = await super().handle_async_request(request)
        except httpx.TransportError:
            circuit.failed()
            raise
        circuit.answered()
        return answer
