"""The signing key, the passwords' threads, and e-mail addresses."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import argon2
import pytest

from auth_service import emails
from auth_service.providers import passwords, signing
from auth_service.testing import PASSWORD, Auth, Member
from kit.database import Database
from kit.errors import ServiceUnavailable
from kit.identity import Actor

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


async def test_instances_that_start_at_once_share_one_key(database: Database, owner: Any) -> None:
    async def start() -> signing.Signer:
        async with database.transaction(Actor.of_service("auth")) as tx:
            signer = await signing.open_signer(tx, now=NOW)
            await asyncio.sleep(0.02)
            return signer

    signers = await asyncio.gather(*(start() for _ in range(8)))
    assert len({signer.kid for signer in signers}) == 1
    assert all(signer.jwks == signers[0].jwks for signer in signers)
    assert await owner.fetchval("select count(*) from medbot.signing_keys") == 1
    assert signers[0].kid == (await start()).kid


async def test_a_token_of_one_instance_holds_on_the_other(
    auth: Auth, second: Auth, alice: Member
) -> None:
    assert (await second.get("/api/v1/auth/me", alice.access)).json() == alice.user
    jwks = "/.well-known/jwks.json"
    assert (await auth.get(jwks)).json() == (await second.get(jwks)).json()
    assert (await auth.get(jwks)).headers["cache-control"] == "public, max-age=600"


async def test_the_jwks_shows_no_private_part(auth: Auth) -> None:
    key = (await auth.get("/.well-known/jwks.json")).json()["keys"][0]
    assert "d" not in key
    assert key["kid"] == signing.thumbprint({name: key[name] for name in ("crv", "kty", "x", "y")})
    assert "BEGIN" not in repr(auth.context.provider)


SECRET = "what stand-ins are made with"


def test_thumbprints_follow_the_example_of_rfc_8037() -> None:
    key = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert signing.thumbprint(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


async def test_passwords_are_argon2id_with_a_salt_each() -> None:
    with passwords.open_passwords(SECRET) as hashing:
        first, second = [await hashing.hash(PASSWORD) for _ in range(2)]
        assert first != second
        assert first.startswith("$argon2id$v=19$m=32768,t=2,p=1$")
        assert await hashing.match(first, PASSWORD)
        assert not await hashing.match(first, PASSWORD + " ")


async def test_nobody_has_a_salt_of_their_own_too() -> None:
    with passwords.open_passwords(SECRET) as hashing, passwords.open_passwords(SECRET) as other:
        first, second = hashing.stand_in("a@example.org"), hashing.stand_in("b@example.org")
        assert first == other.stand_in("a@example.org")
        assert first.split("$")[4] != second.split("$")[4]
        kept = await hashing.hash(PASSWORD)
        assert [len(part) for part in first.split("$")] == [len(part) for part in kept.split("$")]
        assert kept.startswith(first.rsplit("$", 2)[0] + "$")
        assert not await hashing.match(first, PASSWORD)


async def test_hashing_leaves_the_event_loop_free() -> None:
    with passwords.open_passwords(SECRET) as hashing:
        running = asyncio.gather(*(hashing.hash(PASSWORD) for _ in range(12)))
        turns = 0
        while not running.done():
            await asyncio.sleep(0.001)
            turns += 1
        await running
    assert turns > 12


async def test_beyond_a_bound_hashing_declines() -> None:
    with passwords.open_passwords(SECRET, most_waiting=6) as hashing:
        asked = [hashing.hash(PASSWORD) for _ in range(11)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    declined = [answer for answer in answers if isinstance(answer, ServiceUnavailable)]
    assert len(declined) == 5
    assert sum(isinstance(answer, str) for answer in answers) == 6


async def test_a_hash_of_other_parameters_is_renewed_at_sign_in(
    auth: Auth, alice: Member, owner: Any
) -> None:
    old = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    await owner.execute("update medbot.credentials set password_hash = $1", old)
    assert (await auth.login(alice.email)).status_code == 200
    kept = await owner.fetchval("select password_hash from medbot.credentials")
    assert kept.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert (await auth.login(alice.email)).status_code == 200


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Alice@Example.ORG", "alice@example.org"),
        (" alice@example.org\t", "alice@example.org"),
        ("a+b@example.org", "a+b@example.org"),
        ("JOSE\u0301@EXAMPLE.ORG", "josé@example.org"),
        ("x@BÜCHER.example", "x@bücher.example"),
        ("J\u030can@example.org", "\u01f0an@example.org"),  # no letter is both, but in lower case
        ("H\u0331@T\u0308.example", "\u1e96@\u1e97.example"),
        ("demo@medbot.test", "demo@medbot.test"),
    ],
)
def test_addresses_have_one_writing(typed: str, kept: str) -> None:
    for spelling in (typed, kept, kept.upper()):
        assert emails.normalise(spelling) == kept


@pytest.mark.parametrize(
    "typed", ["", "x", "@example.org", "x@", "a b@example.org", "a@b@c.org", "x@example..org",
              "x\u0000@example.org", "x@example.org\nBcc: y@example.org", "a" * 250 + "@b.org",
              "\u023a" * 64 + "@" + "d" * 60 + "." + "d" * 60 + ".org"],  # longer in lower case
)  # fmt: skip
def test_what_is_no_address_is_refused_without_being_quoted(typed: str) -> None:
    with pytest.raises(ValueError, match="e-mail address") as refused:
        emails.normalise(typed)
    assert len(typed) < 3 or typed not in str(refused.value)
