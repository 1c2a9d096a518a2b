"""Whom connections to elsewhere trust: read once in a process, for it takes a while."""

import os
import ssl
from functools import cache

import httpx


def trusted() -> ssl.SSLContext:
    """For `verify` of HTTP clients; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others to trust."""
    return _read(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _read(file: str | None, folder: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()
