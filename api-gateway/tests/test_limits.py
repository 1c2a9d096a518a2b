"""How often somebody may come: by person, by address, and less often where passwords are tried."""

import asyncio
import re
from uuid import uuid4

import pytest

from api_gateway import clients
from api_gateway.limits import InMemory, Policy
from api_gateway.testing import Door, OpenDoor, exchange
from kit.database import utc_now
from kit.identity import Actor
from kit.testing import Watch
from kit.testing.issuing import SERVICE_SECRET, Issuer
from tokens import verify_service

PATH = "/api/v1/conversations"
JWKS = "/.well-known/jwks.json"
LOGIN = "/api/v1/auth/login"


async def test_a_quota_is_a_burst_and_then_an_even_rate() -> None:
    watch = Watch()
    limiter, policy = InMemory(clock=watch), Policy("p", 6)
    taken = [await limiter.take(policy, b"a") for _ in range(7)]
    assert [one.remaining for one in taken] == [5, 4, 3, 2, 1, 0, 0]
    assert [one.wait for one in taken[:6]] == [0] * 6
    assert taken[6].wait == pytest.approx(10)
    watch.now += 9.9
    assert (await limiter.take(policy, b"a")).wait == pytest.approx(0.1)
    watch.now += 0.1
    assert (await limiter.take(policy, b"a")).wait == 0
    assert (await limiter.take(policy, b"b")).remaining == 5
    watch.now += 60
    assert (await limiter.take(policy, b"a")).remaining == 5


async def test_no_window_of_a_minute_holds_more_than_twice_the_quota() -> None:
    watch = Watch()
    limiter, policy = InMemory(clock=watch), Policy("p", 10)
    passed: list[float] = []
    for _ in range(3000):
        watch.now += 0.1
        if not (await limiter.take(policy, b"a")).wait:
            passed.append(watch.now)
    most = max(sum(start <= at < start + 60 for at in passed) for start in passed)
    assert most <= 20
    assert len(passed) == pytest.approx(10 + 10 * 5, abs=1)


async def test_a_flood_of_addresses_takes_bounded_memory_and_frees_nobody_who_is_active() -> None:
    watch = Watch()
    limiter, policy = InMemory(clock=watch, most=1000), Policy("p", 3)
    for _ in range(3):
        await limiter.take(policy, b"active")
    for n in range(20_000):
        await limiter.take(policy, n.to_bytes(8, "big"))
        if n % 400 == 0:
            assert (await limiter.take(policy, b"active")).wait > 0
        assert len(limiter) <= 1001


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2:a::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("not an address", "nor this", True),
    ],
)
def test_addresses_are_counted_by_household(one: str, other: str, same: bool) -> None:
    assert (clients.counted(one) == clients.counted(other)) is same


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, ["203.0.113.9"], "127.0.0.1"),
        (1, [], "127.0.0.1"),
        (1, ["203.0.113.9"], "203.0.113.9"),
        (1, ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        (1, ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        (2, ["198.51.100.1, 203.0.113.9, 192.0.2.1"], "203.0.113.9"),
        (2, ["203.0.113.9"], "127.0.0.1"),
        (1, ["203.0.113.9, words"], "127.0.0.1"),
        (1, ["2001:db8::7"], "2001:db8::7"),
    ],
)
def test_only_what_trusted_proxies_wrote_is_believed(
    proxies: int, forwarded: list[str], address: str
) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"client": ("127.0.0.1", 4711), "headers": headers}
    assert clients.address(scope, trusted_proxies=proxies) == address


@pytest.mark.parametrize("client", [("127.0.0.1", 4711), ("203.0.113.9", 0)])
def test_whoever_comes_through_the_loopback_untold_is_the_loopback(client: tuple[str, int]) -> None:
    """Also where uvicorn's own command has put the header's word in place of the peer."""
    scope = {"client": client, "headers": [(b"x-forwarded-for", b"203.0.113.9")]}
    assert clients.address(scope, trusted_proxies=0) == "127.0.0.1"
    assert clients.address(scope, trusted_proxies=1) == "203.0.113.9"


@pytest.mark.parametrize(
    ("own", "proxies", "told", "scheme"),
    [
        ("http", 0, "https", "http"),
        ("http", 1, "https", "https"),
        ("ws", 1, "https", "wss"),
        ("http", 1, "http, https", "https"),
        ("http", 1, "https, http", "http"),
        ("http", 2, "https, http", "https"),
        ("http", 2, "https", "https"),
        ("https", 1, "", "https"),
    ],
)
def test_only_trusted_proxies_say_that_the_client_came_by_tls(
    own: str, proxies: int, told: str, scheme: str
) -> None:
    scope = {"scheme": own, "headers": [(b"x-forwarded-proto", told.encode())]}
    assert clients.scheme(scope, trusted_proxies=proxies) == scheme


async def test_a_signed_webhook_has_a_quota_of_its_own(open_door: OpenDoor) -> None:
    door = await open_door(rate_limit_address=1, rate_limit_webhook=3)
    hook = "/api/v1/voice/livekit"
    codes = [(await door.client.post(hook, json={})).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    assert (await door.client.get(JWKS)).status_code == 200, "the address was not counted"


async def test_answers_say_what_is_left(door: Door) -> None:
    for n in range(3):
        answer = await door.client.get(PATH)
        assert answer.headers["ratelimit-policy"] == '"person";q=1200;w=60'
        said = re.fullmatch(r'"person";r=(\d+);t=\d+', answer.headers["ratelimit"])
        assert said is not None
        assert 1199 - n <= int(said[1]) <= 1199  # twenty a second come back
    public = await door.client.get(JWKS)
    assert public.headers["ratelimit-policy"] == '"address";q=600;w=60'
    tried = await door.client.post(LOGIN, json={})
    assert tried.headers["ratelimit-policy"] == '"sign-in";q=30;w=60'
    assert "ratelimit" not in (await door.client.get("/health")).headers


async def test_beyond_the_quota_a_person_waits_and_no_other(
    open_door: OpenDoor, issuer: Issuer
) -> None:
    door = await open_door(rate_limit_person=4)
    answers = await asyncio.gather(*(door.client.get(PATH) for _ in range(7)))
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [429] * 3
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "gateway.rate_limited"
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 15
    assert refused.headers["ratelimit"].startswith('"person";r=0;t=')
    other = issuer.token(Actor.of_person(uuid4(), session_id=uuid4()))
    sent = {"authorization": f"Bearer {other}"}
    assert (await door.client.get(PATH, headers=sent)).status_code == 200
    assert len(door.service.asked) == 5


async def test_sign_in_has_a_stricter_quota_of_its_own(open_door: OpenDoor) -> None:
    door = await open_door(rate_limit_sign_in=2)
    paths = ("login", "register", "verify", "password/forgot", "password/reset", "guest")
    codes = [(await door.client.post(f"/api/v1/auth/{path}")).status_code for path in paths]
    assert codes[2:] == [429] * 4
    assert (await door.client.get(JWKS)).status_code == 200
    assert (await door.client.get(PATH)).status_code == 200


async def test_tokens_that_do_not_hold_use_up_the_quota_of_their_address(
    open_door: OpenDoor,
) -> None:
    door = await open_door(rate_limit_address=3)
    assert (await door.client.get(PATH)).status_code == 200  # verified once, then remembered
    sent = {"authorization": "Bearer a.b.c"}
    codes = [(await door.client.get(PATH, headers=sent)).status_code for _ in range(4)]
    assert codes == [401, 401, 429, 429]
    assert (await door.client.get(PATH)).status_code == 200


async def test_a_made_up_address_is_no_way_around(open_door: OpenDoor) -> None:
    door = await open_door(rate_limit_address=2)
    codes = [
        (await door.client.get(JWKS, headers={"x-forwarded-for": f"203.0.113.{n}"})).status_code
        for n in range(4)
    ]
    assert codes == [200, 200, 429, 429]
    behind = await open_door(rate_limit_address=2, trusted_proxies=1)
    codes = [
        (await behind.client.get(JWKS, headers={"x-forwarded-for": f"203.0.113.{n}"})).status_code
        for n in (1, 1, 1, 2)
    ]
    assert codes == [200, 200, 429, 200]


async def test_a_quota_of_zero_allows_any_number(open_door: OpenDoor) -> None:
    door = await open_door(rate_limit_person=0, rate_limit_address=0, rate_limit_sign_in=0)
    for _ in range(40):
        assert (await door.client.post(LOGIN)).status_code != 429
    assert "ratelimit" not in (await door.client.get(PATH)).headers


async def test_the_auth_service_alone_is_told_of_the_client_with_a_proof(
    open_door: OpenDoor, issuer: Issuer
) -> None:
    plain = await open_door()
    door = await open_door(auth_service_url=plain.service.url, trusted_proxies=1)
    sent = {
        "x-medbot-client": "192.0.2.66", "x-medbot-gateway": "made up",
        "x-forwarded-for": "203.0.113.9",
    }  # fmt: skip
    await door.client.post(LOGIN, json={}, headers=sent)
    asked = plain.service.asked[-1]
    assert asked.headers["x-medbot-client"] == "203.0.113.9"
    proof = verify_service(
        asked.headers["x-medbot-gateway"], SERVICE_SECRET, audience="auth", now=utc_now()
    )
    assert proof.service == "gateway"
    assert asked.head.lower().count(b"x-medbot-") == 2
    await plain.client.get(PATH, headers=sent)
    assert not [name for name in plain.service.asked[-1].headers if name.startswith("x-medbot")]


async def test_a_raw_client_cannot_smuggle_an_address(open_door: OpenDoor) -> None:
    plain = await open_door()
    door = await open_door(auth_service_url=plain.service.url)
    request = (
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nX-Medbot-Client: 192.0.2.66\r\n"
        b"X_Medbot_Client: 192.0.2.66\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    await exchange(door.port, request)
    head = plain.service.asked[-1].head
    assert b"192.0.2.66" not in head
    assert b"x-medbot-client: 127.0.0.1" in head
