"""Stands in for a Supabase project: Supabase Auth on the loopback, and a database as it finds one.

It answers as `supabase_recordings/` says, and keeps its accounts in the project's `auth.users`.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.testing import serve

RECORDINGS = Path(__file__).parent / "supabase_recordings"
ANON = "the-anon-key-of-a-project"
SERVICE = "the-service-role-key-of-a-project"
SECRET = "the jwt secret of a project of tests, long enough"
KID = "key-of-the-project"
LIFE = 3600
Clock = Callable[[], datetime]
Body = dict[str, Any]


class Refused(Exception):
    """An error as it was recorded."""

    def __init__(self, recording: str) -> None:
        self.said = recorded(recording)["response"]


def recorded(name: str) -> Any:
    """An exchange by the beginning of its file's name."""
    (path,) = RECORDINGS.glob(f"{name}-*.json")
    return json.loads(path.read_text())


@dataclass
class Account:
    """A row of `auth.users`, with the password in the clear: nobody's."""

    id: UUID
    email: str
    password: str
    made_at: datetime
    confirmed: bool = False
    anonymous: bool = False
    banned: bool = False
    app: Body = field(default_factory=dict)
    data: Body = field(default_factory=dict)


@dataclass
class Family:
    """A session: its refresh tokens, the newest last."""

    id: UUID
    owner: UUID
    tokens: list[str] = field(default_factory=list)


@dataclass
class Project:
    """The server's state; what a test may set are the fields above `accounts`."""

    owner_url: str
    service_url: str
    admin_url: str
    clock: Clock
    url: str = ""
    symmetric: bool = False
    autoconfirm: bool = True
    sign_ups: bool = True
    guests: bool = True
    refuse: str | None = None
    """A recording that every call is answered with."""
    hang: float = 0.0
    accounts: dict[UUID, Account] = field(default_factory=dict)
    families: dict[UUID, Family] = field(default_factory=dict)
    links: dict[str, tuple[str, UUID]] = field(default_factory=dict)
    seen: list[tuple[str, str, Body]] = field(default_factory=list)
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def settings(self) -> Body:
        """What a service is told to use this project."""
        return {
            "next_public_supabase_url": self.url,
            "next_public_supabase_anon_key": ANON,
            "supabase_service_role_key": SERVICE,
            "supabase_jwt_secret": SECRET if self.symmetric else None,
        }

    def link(self, kind: str) -> str:
        """The token of the newest mail of this kind."""
        return next(token for token, (of, _) in reversed(self.links.items()) if of == kind)

    def token(self, account: Account, session: UUID, **more: Any) -> str:
        """An access token, as the project signs them."""
        now = int(self.clock().timestamp())
        claims = {
            "iss": f"{self.url}/auth/v1", "sub": str(account.id), "aud": "authenticated",
            "exp": now + LIFE, "iat": now, "email": account.email, "phone": "",
            "app_metadata": account.app, "user_metadata": account.data, "role": "authenticated",
            "aal": "aal1", "amr": [{"method": "password", "timestamp": now}],
            "session_id": str(session), "is_anonymous": account.anonymous, **more,
        }  # fmt: skip
        claims = {name: said for name, said in claims.items() if said is not None}
        if self.symmetric:
            return jwt.encode(claims, SECRET, "HS256")
        return jwt.encode(claims, self.key, "ES256", headers={"kid": KID})

    def open(self, account: Account) -> Body:
        """A new session of an account."""
        family = Family(uuid4(), account.id)
        self.families[family.id] = family
        return self._grant(account, family, self._rotated(family))

    async def add(self, account: Account) -> None:
        """Makes an account."""
        await self._sql(
            "insert into auth.users (id, aud, role, email, raw_app_meta_data, raw_user_meta_data,"
            " created_at, updated_at, is_anonymous) values ($1, 'authenticated', 'authenticated',"
            " $2, $3, $4, $5, $5, $6)",
            account.id, account.email or None, json.dumps(account.app), json.dumps(account.data),
            account.made_at, account.anonymous,
        )  # fmt: skip
        self.accounts[account.id] = account

    async def delete(self, account: Account) -> None:
        """Deletes an account and its sessions."""
        await self._sql("delete from auth.users where id = $1", account.id)
        del self.accounts[account.id]
        self.end(account.id)

    def end(self, owner: UUID, *, only: UUID | None = None, spare: UUID | None = None) -> None:
        """Ends sessions."""
        for family in list(self.families.values()):
            if family.owner == owner and only in (None, family.id) and family.id != spare:
                del self.families[family.id]

    def of(self, email: str) -> Account | None:
        return next((a for a in self.accounts.values() if a.email == email.lower()), None)

    async def _sql(self, statement: str, *given: Any) -> None:
        connection = await asyncpg.connect(self.admin_url)
        try:
            await connection.execute(statement, *given)
        finally:
            await connection.close()

    async def sign_up(self, request: Request, body: Body) -> Body:
        email, data = str(body.get("email") or "").lower(), body.get("data") or {}
        if not self.sign_ups:
            raise Refused("06")
        if not email:
            if not self.guests:
                return _plain(422, "anonymous_provider_disabled")
            guest = Account(uuid4(), "", "", self.clock(), anonymous=True, data=data)
            await self.add(guest)
            return self.open(guest)
        _check(email, body["password"])
        known = self.of(email)
        if known is not None and self.autoconfirm:
            raise Refused("02")
        if known is not None and known.confirmed:
            return {**recorded("08")["response"]["body"], **_times(self.clock()),
                    "id": str(uuid4()), "email": email}  # fmt: skip
        if known is not None:
            raise Refused("09")
        app = {"provider": "email", "providers": ["email"]}
        made = Account(
            uuid4(), email, body["password"], self.clock(), self.autoconfirm, app=app, data=data
        )
        await self.add(made)
        if self.autoconfirm:
            return self.open(made)
        self.links[secrets.token_hex(28)] = ("signup", made.id)
        return self.show(made)

    async def token_grant(self, request: Request, body: Body) -> Body:
        if request.query_params["grant_type"] == "refresh_token":
            return self._refreshed(str(body["refresh_token"]))
        account = self.of(str(body["email"]))
        if account is None or account.password != body["password"]:
            raise Refused("14")
        if account.banned:
            raise Refused("16")
        if not account.confirmed:
            raise Refused("15")
        return self.open(account)

    def _refreshed(self, token: str) -> Body:
        family = next((f for f in self.families.values() if token in f.tokens), None)
        if family is None or family.owner not in self.accounts:
            raise Refused("22")
        account = self.accounts[family.owner]
        if account.banned:
            raise Refused("16")
        place = len(family.tokens) - 1 - family.tokens.index(token)
        if place == 0:
            return self._grant(account, family, self._rotated(family))
        if place == 1:  # the parent of the current one answers with the current one
            return self._grant(account, family, family.tokens[-1])
        del self.families[family.id]
        raise Refused("20")

    async def user(self, request: Request, body: Body) -> Body:
        return self.show(self._bearer(request)[0])

    async def change(self, request: Request, body: Body) -> Body:
        account, session = self._bearer(request)
        if "password" in body:
            _check(account.email, body["password"])
            if account.password == body["password"]:
                return _plain(422, "same_password")
            account.password = body["password"]
            self.end(account.id, spare=session)
        return self.show(account)

    async def logout(self, request: Request, body: Body) -> Body | None:
        account, session = self._bearer(request)
        scope = request.query_params["scope"]
        self.end(
            account.id,
            only=session if scope == "local" else None,
            spare=session if scope == "others" else None,
        )
        return None

    async def recover(self, request: Request, body: Body) -> Body:
        if (account := self.of(str(body["email"]))) is not None:
            self.links[secrets.token_hex(28)] = ("recovery", account.id)
        return {}

    async def verify(self, request: Request, body: Body) -> Body:
        kind, owner = self.links.get(body["token_hash"], ("", None))
        if owner is None or kind != body["type"] or owner not in self.accounts:
            raise Refused("31")
        del self.links[body["token_hash"]]
        account = self.accounts[owner]
        account.confirmed = True
        return self.open(account)

    async def create(self, request: Request, body: Body) -> Body:
        self._administers(request)
        email = str(body["email"]).lower()
        if self.of(email) is not None:
            return _plain(422, "email_exists")
        app = {"provider": "email", "providers": ["email"], **body.get("app_metadata", {})}
        made = Account(
            uuid4(), email, body["password"], self.clock(), body.get("email_confirm", False),
            app=app, data=body.get("user_metadata", {}),
        )  # fmt: skip
        await self.add(made)
        return self.show(made)

    async def administer(self, request: Request, body: Body) -> Body:
        self._administers(request)
        account = self.accounts.get(UUID(request.path_params["id"]))
        if account is None:
            return _plain(404, "user_not_found")
        if request.method == "DELETE":
            await self.delete(account)
            return {}
        account.app |= body.get("app_metadata", {})
        if (ban := body.get("ban_duration")) is not None:
            account.banned = ban != "none"
        return self.show(account)

    def show(self, account: Account) -> Body:
        """An account, as it is shown."""
        return {
            **recorded("23")["response"]["body"], **_times(account.made_at),
            "id": str(account.id), "email": account.email, "app_metadata": account.app,
            "user_metadata": account.data, "identities": [], "is_anonymous": account.anonymous,
        }  # fmt: skip

    def _rotated(self, family: Family) -> str:
        family.tokens.append(secrets.token_hex(6))
        return family.tokens[-1]

    def _grant(self, account: Account, family: Family, refresh_token: str) -> Body:
        now = int(self.clock().timestamp())
        return {
            "access_token": self.token(account, family.id), "token_type": "bearer",
            "expires_in": LIFE, "expires_at": now + LIFE, "refresh_token": refresh_token,
            "user": self.show(account),
        }  # fmt: skip

    def _bearer(self, request: Request) -> tuple[Account, UUID]:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not token:
            raise Refused("26")
        key = SECRET if self.symmetric else self.key.public_key()
        try:
            claims = jwt.decode(
                token, key, ["HS256" if self.symmetric else "ES256"], audience="authenticated",
                options={"verify_exp": False, "verify_iat": False},
            )  # fmt: skip
        except jwt.PyJWTError:
            raise Refused("25") from None
        if claims["exp"] <= self.clock().timestamp():
            raise Refused("25")
        account = self.accounts.get(UUID(claims["sub"]))
        session = UUID(claims["session_id"])
        if account is None or session not in self.families:
            raise Refused("24")
        return account, session

    def _administers(self, request: Request) -> None:
        if request.headers["authorization"] != f"Bearer {SERVICE}":
            raise Refused("34")

    async def jwks(self, _: Request) -> JSONResponse:
        keys = []
        if not self.symmetric:
            public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
            keys = [{**public, "kid": KID, "alg": "ES256", "use": "sig"}]
        return JSONResponse({"keys": keys}, headers={"cache-control": "public, max-age=600"})

    def app(self) -> Starlette:
        """The paths below the project's address."""
        v1 = "/auth/v1"
        return Starlette(routes=[
            Route(f"{v1}/.well-known/jwks.json", self.jwks),
            self._route(f"{v1}/signup", self.sign_up, "POST"),
            self._route(f"{v1}/token", self.token_grant, "POST"),
            self._route(f"{v1}/user", self.user, "GET"),
            self._route(f"{v1}/user", self.change, "PUT"),
            self._route(f"{v1}/logout", self.logout, "POST"),
            self._route(f"{v1}/recover", self.recover, "POST"),
            self._route(f"{v1}/verify", self.verify, "POST"),
            self._route(f"{v1}/admin/users", self.create, "POST"),
            self._route(f"{v1}/admin/users/{{id}}", self.administer, "GET", "PUT", "DELETE"),
        ])  # fmt: skip

    def _route(self, path: str, answer: Any, *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            body = json.loads(await request.body() or b"{}")
            self.seen.append((request.method, request.url.path, body))
            await asyncio.sleep(self.hang)
            if "apikey" not in request.headers:
                return _answer(recorded("40")["response"])
            try:
                if self.refuse is not None:
                    raise Refused(self.refuse)
                found = await answer(request, body)
            except Refused as refused:
                return _answer(refused.said)
            if found is None:
                return Response(status_code=204)
            return _answer(found) if "status" in found else JSONResponse(found)

        return Route(path, endpoint, methods=list(methods))


def _check(email: str, password: str) -> None:
    if len(password) < 6:
        raise Refused("03")
    if "@" not in email or len(password.encode()) > 72:
        raise Refused("05")


def _times(at: datetime) -> Body:
    said = at.astimezone(UTC).isoformat()
    return {"created_at": said, "updated_at": said}


def _plain(status: int, code: str) -> Body:
    """An error that is named in no recording, in the form of those that are."""
    headers = {"x-sb-error-code": code, "x-supabase-api-version": "2024-01-01"}
    return {"status": status, "headers": headers, "body": {"code": code, "message": code}}


def _answer(said: Body) -> Response:
    headers = {name: text for name, text in said["headers"].items() if name != "content-type"}
    return JSONResponse(said["body"], status_code=said["status"], headers=headers)


@asynccontextmanager
async def running(project: Project) -> AsyncIterator[Project]:
    """Serves a project on a real socket."""
    async with serve(project.app()) as served:
        project.url = served.url
        yield project
