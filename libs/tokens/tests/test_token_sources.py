"""Where verifiers get keys and news of ended sessions, and the tokens services show each other."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import tokens
from contracts.sessions import EndedSessions
from kit import errors
from tokens import jwks

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "a shared secret of more than thirty-two bytes"
ALICE = uuid4()


def ec_key(kid: str, **extra: Any) -> dict[str, Any]:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return {**jwt.get_algorithm_by_name("ES256").to_jwk(public, as_dict=True), "kid": kid, **extra}


class Auth:
    """An auth service on a mock transport that counts what it is asked."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys)
        self.up = True
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = 0
        self.now = START

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        await asyncio.sleep(0.01)
        await self.answers.wait()
        if not self.up:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(200, json={"keys": self.keys})

    def clock(self) -> datetime:
        return self.now

    def remote(self) -> jwks.RemoteKeys:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return jwks.RemoteKeys("http://auth/.well-known/jwks.json", http, clock=self.clock)


async def test_many_waiting_callers_cause_one_fetch() -> None:
    auth = Auth(ec_key("a"))
    keys = auth.remote()
    found = await asyncio.gather(*(keys.find("a") for _ in range(50)))
    assert all(key is not None and key.kid == "a" for key in found)
    assert auth.asked == 1


async def test_an_unknown_kid_refetches_once_a_cool_down() -> None:
    auth = Auth(ec_key("a"))
    keys = auth.remote()
    assert await keys.find("a")
    auth.keys.append(ec_key("b"))
    assert await asyncio.gather(*(keys.find(f"guess-{n}") for n in range(20))) == [None] * 20
    assert auth.asked == 1
    auth.now += timedelta(seconds=6)
    found = await asyncio.gather(keys.find("b"), keys.find("guess"), keys.find("b"))
    assert [key is not None for key in found] == [True, False, True]
    assert auth.asked == 2


async def test_old_keys_serve_while_auth_is_away_and_withdrawn_keys_go() -> None:
    auth = Auth(ec_key("a"), ec_key("b"))
    keys = auth.remote()
    assert await keys.find("a")
    auth.now, auth.up = auth.now + timedelta(minutes=11), False
    assert await keys.find("a")
    auth.now, auth.up = auth.now + timedelta(minutes=11), True
    del auth.keys[0]
    assert await keys.find("a") is None
    assert await keys.find("b")


async def test_one_caller_waits_for_an_auth_that_hangs_and_the_others_have_old_keys() -> None:
    auth = Auth(ec_key("a"))
    keys = auth.remote()
    assert await keys.find("a")
    auth.now += timedelta(minutes=11)
    auth.answers.clear()
    waits = asyncio.create_task(keys.find("a"))
    while auth.asked == 1:
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert all(await asyncio.gather(*(keys.find("a") for _ in range(20))))
    assert not waits.done()
    auth.answers.set()
    assert await waits
    assert auth.asked == 2


async def test_without_any_key_auth_is_unavailable_rather_than_the_token_wrong() -> None:
    auth = Auth(ec_key("a"))
    auth.up = False
    keys = auth.remote()
    with pytest.raises(errors.ServiceUnavailable):
        await keys.find("a")
    auth.up = True
    assert await keys.find("a")


def test_only_public_signing_keys_of_admitted_kinds_are_taken() -> None:
    refused = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "oct", "alg": "HS256"},
        {"kty": "EC", "crv": "P-256", "kid": "broken", "x": "AA", "y": "AA"},
        ec_key("enc", use="enc"), ec_key("alg", alg="ES384"), ec_key("private", d="AA"),
        ec_key("k") | {"kid": 7}, "nonsense",
    ]  # fmt: skip
    assert set(jwks.parse({"keys": [*refused, ec_key("good")]})) == {"good"}
    for document in ({}, {"keys": "all"}, {"keys": None}):
        with pytest.raises(ValueError, match="JWKS"):
            jwks.parse(document)


async def test_the_watch_for_ended_sessions_survives_outages_and_pages_on() -> None:
    sessions = [uuid4() for _ in range(3)]
    asked: list[int] = []
    done = asyncio.Event()

    async def fetch(after: int) -> EndedSessions:
        asked.append(after)
        match len(asked):
            case 1:
                return EndedSessions(session_ids=(sessions[0],), cursor=7, more=True)
            case 2:
                raise httpx.ConnectError("refused")
            case 3:
                return EndedSessions(session_ids=(sessions[1], sessions[2]), cursor=9)
        done.set()
        return EndedSessions(session_ids=(), cursor=9)

    heard: list[UUID] = []

    class Listener(tokens.Verifier):
        def ended(self, session_ids: Any) -> None:
            heard.extend(session_ids)

    watching = Listener(tokens.LocalKeys(lambda: {"keys": []}), clock=lambda: START)
    task = asyncio.create_task(watching.follow_ended(fetch, every=0.001))
    await asyncio.wait_for(done.wait(), 5)
    task.cancel()
    assert asked[:4] == [0, 7, 7, 9]
    assert heard == sessions


async def test_the_watch_shows_a_service_token() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"session_ids": [str(ALICE)], "cursor": 4, "more": False})

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    fetch = tokens.remote_ended(
        "http://auth", http, caller="gateway", secret=SECRET, clock=lambda: START
    )
    assert await fetch(3) == EndedSessions(session_ids=(ALICE,), cursor=4)
    assert str(seen[0].url) == "http://auth/internal/sessions/ended?after=3"
    shown = seen[0].headers["authorization"].removeprefix("Bearer ")
    assert tokens.verify_service(shown, SECRET, audience="auth", now=START).service == "gateway"


def made(**changes: Any) -> str:
    options: dict[str, Any] = {"caller": "voice", "audience": "clinic", "now": START}
    return tokens.service_token(changes.pop("secret", SECRET), **(options | changes))


def test_a_service_token_names_the_caller_and_the_person() -> None:
    actor = tokens.verify_service(made(person=ALICE), SECRET, audience="clinic", now=START)
    assert (actor.kind, actor.service, actor.id) == ("service", "voice", ALICE)
    alone = tokens.verify_service(made(), SECRET, audience="clinic", now=START)
    assert (alone.service, alone.id) == ("voice", None)


def signed(claims: dict[str, Any], kind: str = "service+jwt", algorithm: str = "HS256") -> str:
    whole = {"iss": "voice", "aud": "clinic", "exp": START.timestamp() + 60} | claims
    payload = json.dumps(whole).encode()
    return jwt.PyJWS().encode(payload, SECRET * 2, algorithm=algorithm, headers={"typ": kind})


@pytest.mark.parametrize(
    "forge",
    [
        lambda: made(secret=SECRET + "."),
        lambda: made(audience="auth"),
        lambda: made(now=START - timedelta(seconds=60)),
        lambda: made(now=START + timedelta(seconds=60)),
        lambda: made(caller=""),
        lambda: "abc",
        lambda: made().rpartition(".")[0] + ".",
    ],
    ids=["secret", "audience", "expired", "early", "nameless", "garbage", "unsigned"],
)
def test_a_wrong_service_token_is_refused(forge: Callable[[], str]) -> None:
    with pytest.raises(tokens.InvalidToken):
        tokens.verify_service(forge(), SECRET, audience="clinic", now=START)


@pytest.mark.parametrize(
    "token",
    [
        signed({}, kind="JWT"),
        signed({}, algorithm="HS512"),
        signed({"aud": ["clinic", "auth"]}),
        signed({"iss": 3}),
        signed({"sub": "admin"}),
        signed({"exp": None}),
    ],
    ids=["typ", "algorithm", "audiences", "issuer", "person", "expiry"],
)
def test_a_service_token_must_have_its_own_shape(token: str) -> None:
    with pytest.raises(tokens.InvalidToken):
        tokens.verify_service(token, SECRET * 2, audience="clinic", now=START)
