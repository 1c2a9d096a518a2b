"""Which headers pass, and which the gateway writes itself."""

import pytest

from api_gateway import headers
from api_gateway.testing import Asked, Door

PATH = "/api/v1/conversations"
PAGE = "http://localhost:3000"

CLAIMS = [
    "X-User-Id", "X-User", "X-User-Roles", "X-Forwarded-User", "X-Forwarded-Email",
    "X-Auth-Request-User", "X-Authenticated-User", "X-Remote-User", "Remote-User", "X-Role",
    "X-Roles", "X-Actor", "X-Service-Name", "X-JWT-Claims", "X-Consumer-Username", "X-Real-IP",
    "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Access-Token", "X-HTTP-Method-Override",
    "X-On-Behalf-Of", "X_User_Id", "X-Identity", "X-Session-Id", "X-Internal", "Forwarded", "Via",
    "True-Client-IP", "X-Token-Sub", "X-Goog-Authenticated-User-Email", "X-Amzn-Oidc-Identity",
]  # fmt: skip


async def test_a_header_that_claims_an_identity_stays_outside(door: Door) -> None:
    for name in CLAIMS:
        await door.client.get(PATH, headers={name: "forged"})
        assert "forged" not in door.service.asked[-1].head.decode(), name
    assert len(door.service.asked) == len(CLAIMS)


async def test_hop_by_hop_headers_stay_outside(door: Door) -> None:
    sent = {
        "connection": "keep-alive, x-private, authorization",
        "x-private": "here only",
        "te": "trailers",
        "keep-alive": "timeout=5",
        "proxy-authorization": "Basic x",
        "upgrade": "h2c",
        "http2-settings": "x",
        "accept-language": "cy",
    }
    await door.client.get(PATH, headers=sent)
    asked = door.service.asked[0].headers
    assert asked["accept-language"] == "cy"
    assert asked["authorization"] == f"Bearer {door.token}"  # cannot be named away
    gone = sent.keys() - {"accept-language"}
    assert gone.isdisjoint(asked)


async def test_the_gateway_says_who_asked(door: Door) -> None:
    await door.client.get(PATH, headers={"host": "medbot.example", "x-forwarded-proto": "ftp"})
    asked = door.service.asked[0].headers
    assert asked["x-forwarded-for"] == "127.0.0.1"
    assert asked["x-forwarded-proto"] == "http"
    assert asked["x-forwarded-host"] == "medbot.example"
    assert asked["host"] == f"127.0.0.1:{door.service.port}"


async def test_every_answer_has_the_security_headers_once(door: Door) -> None:
    async def answer(asked: Asked) -> None:
        await asked.say(
            b"HTTP/1.1 200 OK\r\nServer: x\r\nX-Frame-Options: ALLOWALL\r\nX-Request-ID: theirs\r\n"
            b"Access-Control-Allow-Origin: *\r\nSet-Cookie: a=b\r\nETag: kept\r\n"
            b"Connection: x-gone\r\nContent-Length: 0\r\n\r\n"
        )

    door.service.answer = answer
    answered = await door.client.get(PATH)
    for name, value in headers.SECURITY:
        assert answered.headers.get_list(name.decode()) == [value.decode()]
    assert answered.headers.get_list("x-request-id") != ["theirs"]
    assert answered.headers["etag"] == "kept"
    assert answered.headers["cache-control"] == "no-store"
    assert "server" not in answered.headers
    assert len(answered.headers.get_list("date")) == 1
    assert {"set-cookie", "access-control-allow-origin"}.isdisjoint(answered.headers)
    unknown = await door.client.get("/nothing")
    assert unknown.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("sane", ["0f8fad5b-d9cb-469f-a165-70867728950e", "order-66_A.b:c"])
async def test_a_sane_request_id_is_taken(door: Door, sane: str) -> None:
    answered = await door.client.get(PATH, headers={"x-request-id": sane})
    assert answered.headers["x-request-id"] == sane
    assert door.service.asked[0].headers["x-request-id"] == sane


@pytest.mark.parametrize("odd", ["", "short", "x" * 129, "with space in it", "<script>alert(1)"])
async def test_an_odd_request_id_is_replaced(door: Door, odd: str) -> None:
    answered = await door.client.get(PATH, headers={"x-request-id": odd})
    made = answered.headers["x-request-id"]
    assert made != odd
    assert len(made) == 32
    assert door.service.asked[0].headers["x-request-id"] == made


async def test_the_trace_goes_on_or_begins(door: Door) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    await door.client.get(PATH, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    await door.client.get(PATH, headers={"traceparent": "00-nonsense-01"})
    first, second = (asked.headers["traceparent"] for asked in door.service.asked)
    assert first.startswith(f"00-{trace}-")
    assert second.startswith("00-")
    assert trace not in second


async def test_a_page_of_an_allowed_origin_may_call(door: Door) -> None:
    asks = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, idempotency-key",
    }
    asked = await door.client.options(PATH, headers=asks)
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == PAGE
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in asked.headers["access-control-allow-headers"]
    assert asked.headers["vary"] == "Origin"
    answered = await door.client.get(PATH, headers={"origin": PAGE})
    assert answered.headers["access-control-allow-origin"] == PAGE
    assert "X-Request-ID" in answered.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answered.headers
    refused = await door.client.get("/nothing", headers={"origin": PAGE})
    assert refused.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{PAGE}.evil.example"])
async def test_a_page_of_another_origin_may_not(door: Door, origin: str) -> None:
    asks = {"origin": origin, "access-control-request-method": "POST"}
    asked = await door.client.options(PATH, headers=asks)
    assert "access-control-allow-origin" not in asked.headers
    assert "access-control-allow-methods" not in asked.headers
    answered = await door.client.get(PATH, headers={"origin": origin})
    assert "access-control-allow-origin" not in answered.headers
    assert len(door.service.asked) == 1
