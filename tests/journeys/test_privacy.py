"""Leaving, with everything one has, through the gateway of a whole installation."""

import asyncio
import hashlib
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
import scanning
from conversing import Person
from installation import PASSWORD, Installation, newcomer, sign_up, visitor
from model_server import ModelServer, Pause, Say, Step

from kit.identity import Actor
from kit.testing import serve

pytestmark = pytest.mark.journey

ME = "/api/v1/auth/me"
EMAIL = "wilhelmyna.quaxenbosch@example.org"
WORD = "quixomyelitis"
SLOW: list[Step] = [step for n in range(200) for step in (Say(f"{WORD} {n} "), Pause(0.05))]


async def arrive(http: httpx.AsyncClient) -> UUID:
    """Signs up by a name and an address that stand out, and fills the profile."""
    signed_in = await sign_up(http, EMAIL)
    http.headers["authorization"] = f"Bearer {signed_in['session']['access_token']}"
    profile = {
        "full_name": "Wilhelmyna Quaxenbosch", "phone": "+442071234567",
        "consents": {"privacy": True, "research": False},
    }  # fmt: skip
    assert (await http.put("/api/v1/profile", json=profile)).status_code == 200
    return UUID(signed_in["user"]["id"])


async def completed(http: httpx.AsyncClient, erasure_id: str) -> dict[str, Any]:
    """The erasure, once it is; asked without a token."""
    async with asyncio.timeout(30):
        while True:
            answer = await http.get(f"/api/v1/auth/erasures/{erasure_id}")
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            if found["status"] == "complete":
                return found
            await asyncio.sleep(0.1)


async def nothing_is_left(house: Installation, person: UUID) -> None:
    needles = [str(person), EMAIL, "Quaxenbosch", "Wilhelmyna", "+442071234567", WORD]
    patience = asyncio.get_running_loop().time() + 15
    while left := await scanning.tables(house.owner_url, needles):
        assert asyncio.get_running_loop().time() < patience, left
        await asyncio.sleep(0.1)
    found = scanning.files(house.data_dir, needles, but=[house.data_dir / "postgres"])
    assert found == {}


async def test_everything_in_one_document(library_mode: Installation) -> None:
    async with visitor(library_mode.url) as http, newcomer(library_mode.url) as other:
        person = await arrive(http)
        conversation = (await http.post("/api/v1/conversations", json={"title": WORD})).json()["id"]
        path = f"/api/v1/conversations/{conversation}/messages"
        said = await http.post(path, json={"content": "What helps with a headache?"})
        await other.start("Not theirs")
        answer = await http.get(f"{ME}/export")
        assert answer.status_code == 200
        document = answer.json()
        assert (document["person"], document["complete"]) == (str(person), True)
        services = document["services"]
        assert services["auth"]["account"][0]["email"] == EMAIL
        assert {row["name"] for row in services["auth"]["consents"]} == {"privacy", "research"}
        assert [row["title"] for row in services["conversation"]["conversations"]] == [WORD]
        assert {row["id"] for row in services["conversation"]["messages"]} == {
            said.json()[message]["id"] for message in ("user_message", "assistant_message")
        }
        assert "Not theirs" not in answer.text
        assert str(other.actor.id) not in answer.text
        erasure_id = (await http.delete(ME)).json()["erasure_id"]
        await completed(http, erasure_id)
        await nothing_is_left(library_mode, person)


async def test_leaving_while_the_assistant_speaks(
    with_model: Installation, model_port: int
) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve(ModelServer([SLOW]).app(), port=model_port))
        http = await stack.enter_async_context(visitor(with_model.url))
        id_ = await arrive(http)
        before = http.headers["authorization"]
        path = f"/api/v1/conversations/{await _start(http)}/messages"
        reading = asyncio.create_task(_read(http, path))
        await asyncio.sleep(1)
        gone = await http.delete(ME)
        assert gone.status_code == 202
        erasure_id = gone.json()["erasure_id"]
        assert await asyncio.wait_for(reading, 15) in {"error", "cut"}
        http.headers.pop("authorization")
        done = await completed(http, erasure_id)
        await _is_out(http, before)
        again = await http.delete(ME, headers={"authorization": before})
        assert again.json() == {"erasure_id": erasure_id}
        await _receipt_checks(http, done["receipt"], id_)
        await asyncio.to_thread(with_model.kill)
        await asyncio.to_thread(with_model.begin)
        await nothing_is_left(with_model, id_)
        assert (await completed(http, erasure_id)) == done
        new = await sign_up(http, EMAIL)
        assert new["user"]["id"] != str(id_)
        token = {"authorization": f"Bearer {new['session']['access_token']}"}
        last = (await http.delete(ME, headers=token)).json()["erasure_id"]
        await completed(http, last)
        await nothing_is_left(with_model, UUID(new["user"]["id"]))


@pytest.mark.long
async def test_killed_right_after_the_wish(with_model: Installation) -> None:
    async with visitor(with_model.url) as http:
        id_ = await arrive(http)
        await _start(http)
        erasure_id = (await http.delete(ME)).json()["erasure_id"]
        await asyncio.to_thread(with_model.kill)
        await asyncio.to_thread(with_model.begin)
        http.headers.pop("authorization")
        await completed(http, erasure_id)
        await nothing_is_left(with_model, id_)


async def _start(http: httpx.AsyncClient) -> str:
    made = await http.post("/api/v1/conversations", json={"title": f"My {WORD}"})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def _read(http: httpx.AsyncClient, path: str) -> str:
    """Asks and reads the stream; the name of its last event, or `cut`."""
    last = "cut"
    body = {"content": f"I have {WORD}. What is it?"}
    reader = Person(Actor(None, "person"), http)
    async with reader.stream("POST", path, json=body) as events:
        async for event in events:
            last = event.event
    return last


async def _is_out(http: httpx.AsyncClient, header: str) -> None:
    """No door knows the token after five seconds, and the password opens none."""
    async with asyncio.timeout(5):
        for path in ("/api/v1/profile", "/api/v1/conversations"):
            while (await http.get(path, headers={"authorization": header})).status_code != 401:
                await asyncio.sleep(0.1)
    login = await http.post("/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert login.json()["code"] == "auth.bad_credentials"


async def _receipt_checks(http: httpx.AsyncClient, receipt: str, person: UUID) -> None:
    keys = (await http.get("/.well-known/jwks.json")).json()["keys"]
    kid = jwt.get_unverified_header(receipt)["kid"]
    key = jwt.PyJWK.from_dict(next(each for each in keys if each["kid"] == kid))
    claims = jwt.decode(receipt, key, algorithms=["ES256"])
    assert claims["erasure"]["person_sha256"] == hashlib.sha256(person.bytes).hexdigest()
    assert None not in claims["erasure"]["services"].values()
