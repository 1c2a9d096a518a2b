"""The composition root: what the gateway opens, opened once and passed by hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import httpx
from pydantic import SecretStr

import tokens
from api_gateway import pages, pool
from api_gateway.admission import Admission, Policies, Proof
from api_gateway.cors import Cors
from api_gateway.limits import Policy
from api_gateway.settings import Settings
from api_gateway.shared_limits import Shared, open_limiter
from kit import background, metrics, outgoing
from kit.database import Clock, utc_now
from kit.server import Drain
from serving.app import Check, Readiness
from telemetry import Readers, Telemetry, catalogue
from tokens.verification import open_verifier

NAME = "gateway"


@dataclass(frozen=True, slots=True)
class Context:
    """What a request needs on its way."""

    settings: Settings
    pools: Mapping[str, pool.Pool]
    verifier: tokens.Verifier
    admission: Admission
    proof: Proof
    cors: Cors
    pages: Mapping[str, pages.Page]
    readiness: Readiness
    drain: Drain
    health: bytes
    telemetry: Telemetry
    readers: Readers


@asynccontextmanager
async def open_context(
    settings: Settings, telemetry: Telemetry, drain: Drain, *, clock: Clock = utc_now
) -> AsyncIterator[Context]:
    """Opens the pools, the verifier with its watch for ended sessions, and the documents."""
    limits = pool.Limits(
        connect=settings.connect_timeout,
        first_byte=settings.first_byte_timeout,
        whole=settings.whole_timeout,
        idle=settings.idle_timeout,
        reply=settings.reply_timeout,
        requests=settings.upstream_requests,
        streams=settings.upstream_streams,
        sockets=settings.upstream_sockets,
        wait=settings.upstream_wait,
        failures=settings.breaker_failures,
        pause=settings.breaker_pause,
    )
    async with (
        httpx.AsyncClient(
            timeout=settings.connect_timeout, trust_env=False, verify=outgoing.trusted()
        ) as http,
        open_verifier(settings, service=NAME, clock=clock) as verifier,
        pool.open_pools(settings.services, limits) as pools,
        open_limiter(_plain(settings.redis_url)) as limiter,
        background.running(leave=partial(_leave, drain, pools, settings.drain_seconds)),
    ):
        telemetry.look("pools", partial(_look_at, pools))
        checks: dict[str, Check] = {
            name: partial(_ask_ready, http, pools[name].url) for name in pools
        }
        spare: dict[str, Check] = {"redis": limiter.ping} if isinstance(limiter, Shared) else {}
        yield Context(
            settings=settings,
            telemetry=telemetry,
            readers=metrics.readers(settings, loopback=False),
            pools=pools,
            verifier=verifier,
            admission=Admission(verifier, limiter, _policies(settings)),
            proof=Proof(settings.service_secret(), clock),
            cors=Cors(settings.cors_origins),
            pages=pages.open_pages(),
            health=json.dumps(
                {"status": "ok", "service": "api-gateway", "version": version("api-gateway")}
            ).encode(),
            readiness=Readiness({**checks, "keys": verifier.ping}, spare),
            drain=drain,
        )


async def _leave(drain: Drain, pools: Mapping[str, pool.Pool], within: float) -> None:
    """Ends streams from the moment on when nothing new is taken."""
    await drain.closing.wait()
    for one in pools.values():
        one.leave(asyncio.get_running_loop().time() + within)


async def _look_at(pools: Mapping[str, pool.Pool]) -> None:
    """Shows how much each service is asked now, and whether it is asked at all."""
    for name, one in pools.items():
        catalogue.BREAKER_OPEN.set(float(one.circuit.open), name)
        rooms = {"requests": one.requests, "streams": one.streams, "sockets": one.sockets}
        for kind, room in rooms.items():
            catalogue.UPSTREAM_BUSY.set(room.taken, name, kind)
        catalogue.UPSTREAM_BUSY.set(one.requests.waiting, name, "waiting")


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def _policies(settings: Settings) -> Policies:
    return Policies(
        person=Policy("person", settings.rate_limit_person),
        address=Policy("address", settings.rate_limit_address),
        sign_in=Policy("sign-in", settings.rate_limit_sign_in),
        webhook=Policy("webhook", settings.rate_limit_webhook),
    )


async def _ask_ready(http: httpx.AsyncClient, url: str) -> None:
    """Raises when the service at `url` is not ready."""
    answer = await http.get(f"{url}/ready")
    answer.raise_for_status()
