"""The composition root: what the gateway opens, opened once and passed by hand."""

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
from api_gateway.shared_limits import open_limiter
from kit.app import Check
from kit.database import Clock, utc_now
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
    checks: Mapping[str, Check]
    health: bytes


@asynccontextmanager
async def open_context(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Context]:
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
        httpx.AsyncClient(timeout=settings.connect_timeout, trust_env=False) as http,
        open_verifier(settings, service=NAME, clock=clock) as verifier,
        pool.open_pools(settings.services, limits) as pools,
        open_limiter(_plain(settings.redis_url)) as limiter,
    ):
        yield Context(
            settings=settings,
            pools=pools,
            verifier=verifier,
            admission=Admission(verifier, limiter, _policies(settings)),
            proof=Proof(settings.service_secret(), clock),
            cors=Cors(settings.cors_origins),
            pages=pages.open_pages(),
            health=json.dumps(
                {"status": "ok", "service": "api-gateway", "version": version("api-gateway")}
            ).encode(),
            checks={name: partial(_ask_ready, http, pools[name].url) for name in pools},
        )


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
