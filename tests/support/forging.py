"""Tokens that open no door, made with everything that an attacker may know, and more."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import tokens

Claims = Mapping[str, Any]


def part(content: Mapping[str, Any]) -> str:
    """One part of a token, from JSON."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def by_hand(header: Mapping[str, Any], claims: Claims, signature: bytes = b"") -> str:
    """A token of any header, as no library would make it."""
    mark = base64.urlsafe_b64encode(signature).decode().rstrip("=")
    return f"{part(header)}.{part(claims)}.{mark}"


def hmac(secret: bytes, header: Mapping[str, Any], claims: Claims) -> str:
    """Signed with a shared secret; a library would refuse a public key as one."""
    mark = jwt.get_algorithm_by_name("HS256").sign(
        f"{part(header)}.{part(claims)}".encode(), secret
    )
    return by_hand(header, claims, mark)


@dataclass(frozen=True)
class Forger:
    """Knows a victim's good token, the key that signed it and the secret between services."""

    good: str
    key: ec.EllipticCurvePrivateKey
    kid: str
    service_secret: str

    @property
    def claims(self) -> dict[str, Any]:
        """The victim's, with the roles that an attacker would like."""
        known: dict[str, Any] = jwt.decode(self.good, options={"verify_signature": False})
        return known | {"app_metadata": {"roles": ["patient", "staff", "admin"]}}

    def signed(self, claims: Claims, **header: Any) -> str:
        """With the right key: only what it says is wrong."""
        return jwt.encode(dict(claims), self.key, "ES256", headers={"kid": self.kid, **header})

    def unsigned(self) -> dict[str, str]:
        head, body, signature = self.good.split(".")
        spellings = ("none", "None", "NONE", "nOnE", "")
        return {
            "words": "not a token",
            "dots": "..",
            "two parts": f"{head}.{body}",
            "five parts": f"{head}.{body}.{signature}.{head}.{body}",
            "no signature": f"{head}.{body}.",
            "cut signature": self.good[:-8],
            "other claims": f"{head}.{part(self.claims)}.{signature}",
            "zero signature": f"{head}.{part(self.claims)}.{'A' * 86}",
            **{
                f"algorithm {name!r}": by_hand({"alg": name, "kid": self.kid}, self.claims)
                for name in spellings
            },
            "none with the old signature": f"{part({'alg': 'none'})}.{body}.{signature}",
            "no algorithm": by_hand({"kid": self.kid}, self.claims, b"x" * 64),
            "algorithm of another kind": by_hand({"alg": ["ES256"]}, self.claims, b"x" * 64),
        }

    def of_other_keys(self) -> dict[str, str]:
        thief = ec.generate_private_key(ec.SECP256R1())
        large = ec.generate_private_key(ec.SECP384R1())
        other_kind = rsa.generate_private_key(65537, 2048)
        jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(thief.public_key()))
        headers: dict[str, dict[str, Any]] = {
            "wrong key": {"kid": self.kid},
            "wrong key, no kid": {},
            "unknown kid": {"kid": "the-thief's"},
            "empty kid": {"kid": ""},
            "kid of a file": {"kid": "../../../../dev/null"},
            "kid of an absolute file": {"kid": "/proc/sys/kernel/randomize_va_space"},
            "kid of a query": {"kid": f"{self.kid}' or '1'='1"},
            "kid of a union": {"kid": "x' union select 'secret' -- "},
            "kid of a command": {"kid": "x|touch /tmp/kid"},
            "kid of an address": {"kid": "http://127.0.0.1:1/key"},
            "kid with a null": {"kid": f"{self.kid}\0"},
            "own key inside": {"kid": self.kid, "jwk": jwk},
            "own key inside, no kid": {"jwk": jwk},
            "own key's address": {"kid": self.kid, "jku": "http://127.0.0.1:1/jwks.json"},
            "own certificate": {"kid": self.kid, "x5c": ["TUlJQg=="]},
            "own certificate's address": {"kid": self.kid, "x5u": "http://127.0.0.1:1/x.pem"},
        }
        return {
            **{
                name: jwt.encode(self.claims, thief, "ES256", headers=header)
                for name, header in headers.items()
            },
            "another curve": jwt.encode(self.claims, large, "ES384", headers={"kid": self.kid}),
            "another kind of key": jwt.encode(
                self.claims, other_kind, "RS256", headers={"kid": self.kid}
            ),
        }

    def of_secrets(self) -> dict[str, str]:
        public = self.key.public_key()
        info = serialization.PublicFormat.SubjectPublicKeyInfo
        jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(public))
        secrets = {
            "public key as PEM": public.public_bytes(serialization.Encoding.PEM, info),
            "public key as DER": public.public_bytes(serialization.Encoding.DER, info),
            "public key as JWK": json.dumps(jwk).encode(),
            "empty secret": b"",
            "secret between services": self.service_secret.encode(),
        }
        return {
            f"{name}, {with_kid}": hmac(secret, {"alg": "HS256", "typ": "JWT"} | kid, self.claims)
            for name, secret in secrets.items()
            for with_kid, kid in {"with kid": {"kid": self.kid}, "no kid": {}}.items()
        }

    def of_headers(self) -> dict[str, str]:
        """What stands in the header is not what it should be, the signature is right."""
        return {
            **{
                f"kid {value!r}": self.signed_by_hand({"alg": "ES256", "kid": value})
                for value in (1, True, [self.kid], {"kid": self.kid}, "", " " + self.kid)
            },
            "critical and unknown": self.signed(
                self.claims, crit=["http://example.org/law"], **{"http://example.org/law": True}
            ),
            "critical and empty": self.signed_by_hand(
                {"alg": "ES256", "kid": self.kid, "crit": []}
            ),
            "not base64 by its own word": self.signed_by_hand(
                {"alg": "ES256", "kid": self.kid, "b64": False, "crit": ["b64"]}
            ),
            "says that it is a service's": self.signed(self.claims, typ="service+jwt"),
            "says that it is encrypted": self.signed(self.claims, typ="JWE"),
            "header is a list": f"W10.{part(self.claims)}.{'A' * 86}",
        }

    def signed_by_hand(self, header: Mapping[str, Any]) -> str:
        """With the right key, under a header that a library would not write."""
        signed = f"{part(header)}.{part(self.claims)}".encode()
        return by_hand(
            header, self.claims, jwt.get_algorithm_by_name("ES256").sign(signed, self.key)
        )

    def of_claims(self) -> dict[str, str]:
        now = int(time.time())
        wrong: dict[str, dict[str, Any]] = {
            "wrong audience": {"aud": "clinic"},
            "wrong audiences": {"aud": ["anon", "service_role"]},
            "expired": {"exp": now - 1, "iat": now - 3600},
            "long expired": {"exp": 1},
            "expiry of words": {"exp": "tomorrow"},
            "endless": {"exp": 1e400},
            "not yet": {"nbf": now + 3600},
            "from the future": {"iat": now + 3600},
            "service role": {"role": "service_role"},
            "anonymous key": {"role": "anon"},
            "nobody": {"sub": ""},
            "not an id": {"sub": "1' or '1'='1"},
            "many": {"sub": [str(uuid4())]},
        }
        missing = {
            f"without {name}": self.signed({k: v for k, v in self.claims.items() if k != name})
            for name in ("aud", "exp", "sub")
        }
        too_long = self.signed(self.claims | {"padding": "x" * 10_000})
        named = {name: self.signed(self.claims | claims) for name, claims in wrong.items()}
        return {**named, **missing, "too long": too_long}

    def of_services(self) -> dict[str, str]:
        """What services show each other is nothing at a person's door."""
        now, victim = datetime.now(UTC), UUID(self.claims["sub"])
        made = {
            f"{caller} to {audience}": tokens.service_token(
                self.service_secret, caller=caller, audience=audience, now=now, person=victim
            )
            for caller in ("auth", "conversation", "gateway")
            for audience in ("auth", "conversation", "gateway", tokens.AUDIENCE)
        }
        plain = hmac(self.service_secret.encode(), {"alg": "HS256", "typ": "JWT"}, self.claims)
        return {**made, "a person's claims under the services' secret": plain}
