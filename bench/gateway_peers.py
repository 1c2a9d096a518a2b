"""Proxies to measure the gateway against: the usual one, and other clients under the same server.

Each forwards everything to `UPSTREAM` and does none of the gateway's other duties.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import yarl
from fastapi import FastAPI, Request
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse

UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:9100")
HOP = {
    b"connection", b"host", b"te", b"upgrade", b"keep-alive", b"transfer-encoding",
    b"proxy-connection",
}  # fmt: skip
NAMES = {name.decode() for name in HOP}


@contextlib.asynccontextmanager
async def _client(app: FastAPI) -> AsyncIterator[None]:
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx.AsyncClient(base_url=UPSTREAM, limits=limits, trust_env=False) as client:
        app.state.client = client
        yield


fastapi_httpx = FastAPI(lifespan=_client)


@fastapi_httpx.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def _proxy(path: str, request: Request) -> StreamingResponse:
    client: httpx.AsyncClient = request.app.state.client
    asked = client.build_request(
        request.method,
        f"/{path}",
        headers=[pair for pair in request.headers.items() if pair[0] not in NAMES],
        content=request.stream() if request.method in ("POST", "PUT", "PATCH") else None,
    )
    answer = await client.send(asked, stream=True)
    kept = {name: value for name, value in answer.headers.items() if name not in NAMES}
    return StreamingResponse(
        answer.aiter_raw(), answer.status_code, kept, background=BackgroundTask(answer.aclose)
    )


class _Raw:
    """A raw ASGI application over some client; a subclass says how one request passes."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self.http(scope, send)
            return
        await receive()
        await self.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def open(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    async def http(self, scope: Any, send: Any) -> None:
        raise NotImplementedError


def _lines(scope: Any) -> list[tuple[str, str]]:
    return [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"] if n not in HOP]


class _Aiohttp(_Raw):
    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def close(self) -> None:
        await self._session.close()

    async def http(self, scope: Any, send: Any) -> None:
        url = yarl.URL(UPSTREAM + scope["raw_path"].decode(), encoded=True)
        asked = self._session.request(
            scope["method"], url, headers=_lines(scope), allow_redirects=False
        )
        async with asked as answer:
            pairs = [(n.lower(), v) for n, v in answer.raw_headers if n.lower() not in HOP]
            start = {"type": "http.response.start", "status": answer.status, "headers": pairs}
            await send(start)
            async for part in answer.content.iter_any():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


class _Pyreqwest(_Raw):
    """Measured only where pyreqwest is installed; nothing of the product needs it."""

    async def open(self) -> None:
        from pyreqwest.client import ClientBuilder  # type: ignore[import-not-found,unused-ignore]

        plain = ClientBuilder().gzip(False).brotli(False).zstd(False).deflate(False)
        self._client = plain.follow_redirects(False).no_proxy().build()

    async def close(self) -> None:
        await self._client.close()

    async def http(self, scope: Any, send: Any) -> None:
        asked = self._client.request(scope["method"], UPSTREAM + scope["raw_path"].decode())
        async with asked.headers(_lines(scope)).build_streamed() as answer:
            pairs = [
                (n.encode("latin-1"), v.encode("latin-1"))
                for n, v in answer.headers.items()
                if n not in NAMES
            ]
            start = {"type": "http.response.start", "status": answer.status, "headers": pairs}
            await send(start)
            reader = answer.body_reader
            while (part := await reader.read_chunk()) is not None:
                await send({"type": "http.response.body", "body": bytes(part), "more_body": True})
            await send({"type": "http.response.body", "body": b""})


raw_aiohttp = _Aiohttp()
raw_pyreqwest = _Pyreqwest()
