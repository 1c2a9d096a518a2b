"""Stands in for a Supabase project: Supabase Auth on the loopback, and a database as it finds one.

It answers as `supabase_recordings/` says, and keeps its accounts in the project's `auth.users`.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import jwt
import supabase_answers as answers
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from supabase_admin import SERVICE, Office
from supabase_answers import Account, Body, Refused

from kit.testing import serve

ANON = "the-anon-key-of-a-project"
SECRET = "the jwt secret of a project of tests, long enough"
KID = "key-of-the-project"
LIFE = 3600
Clock = Callable[[], datetime]


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
    root_url: str = ""
    url: str = ""
    symmetric: bool = False
    autoconfirm: bool = True
    sign_ups: bool = True
    guests: bool = True
    refuse: str | None = None
    """A recording that every call is answered with."""
    algorithm: int = 1
    """That of refresh tokens."""
    bucket: int | None = None
    """How many sign-ins and refreshes are let through yet, where they are counted."""
    trigger_fails: bool = False
    """A trigger of somebody's on `auth.users` raises."""
    hang: float = 0.0
    asked: Callable[[], Awaitable[None]] | None = None
    """Runs while a call waits for its answer."""
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

    def open(self, account: Account, seen: str = "12") -> Body:
        """A new session of an account."""
        said: Body = self._opened(account, seen)["body"]
        return said

    def _opened(self, account: Account, seen: str) -> Body:
        family = Family(uuid4(), account.id)
        self.families[family.id] = family
        return self._grant(seen, account, family, self._rotated(family))

    async def add(self, account: Account) -> None:
        """Makes an account."""
        await self.sql(
            "insert into auth.users (id, aud, role, email, raw_app_meta_data, raw_user_meta_data,"
            " created_at, updated_at, is_anonymous) values ($1, 'authenticated', 'authenticated',"
            " $2, $3, $4, $5, $5, $6)",
            account.id, account.email or None, json.dumps(account.app), json.dumps(account.data),
            account.made_at, account.anonymous,
        )  # fmt: skip
        self.accounts[account.id] = account

    async def delete(self, account: Account) -> None:
        """Deletes an account and its sessions."""
        await self.sql("delete from auth.users where id = $1", account.id)
        del self.accounts[account.id]
        self.end(account.id)

    def end(self, owner: UUID, *, only: UUID | None = None, spare: UUID | None = None) -> None:
        """Ends sessions."""
        for family in list(self.families.values()):
            if family.owner == owner and only in (None, family.id) and family.id != spare:
                del self.families[family.id]

    def of(self, email: str) -> Account | None:
        return next((a for a in self.accounts.values() if a.email == email.lower()), None)

    async def sql(self, statement: str, *given: Any) -> None:
        connection = await asyncpg.connect(self.admin_url)
        try:
            await connection.execute(statement, *given)
        finally:
            await connection.close()

    async def sign_up(self, request: Request, body: Body) -> Body:
        email, data = str(body.get("email") or "").lower(), body.get("data") or {}
        if not self.sign_ups:
            raise Refused("06")
        if self.trigger_fails:
            raise Refused("10" if answers.VERSION in request.headers else "11")
        if not email:
            return await self._guest(data)
        _check(email, body["password"])
        if (known := self.of(email)) is not None:
            return self._known(known, email, data)
        made = Account(
            uuid4(), email, body["password"], self.clock(), self.autoconfirm,
            app=dict(answers.PROVIDED), data=data,
        )  # fmt: skip
        await self.add(made)
        if self.autoconfirm:
            return self._opened(made, "01")
        self.links[secrets.token_hex(28)] = ("signup", made.id)
        return answers.shown("07", made)

    async def _guest(self, data: Body) -> Body:
        if not self.guests:
            return answers.plain(422, "anonymous_provider_disabled")
        guest = Account(uuid4(), "", "", self.clock(), anonymous=True, data=data)
        await self.add(guest)
        return self._opened(guest, "01")

    def _known(self, known: Account, email: str, data: Body) -> Body:
        """Somebody signs up with an address that has an account."""
        if self.autoconfirm:
            raise Refused("02")
        if not known.confirmed:
            raise Refused("09")
        invented = Account(uuid4(), email, "", self.clock(), app=answers.PROVIDED, data=data)
        return answers.shown("08", invented)

    async def token_grant(self, request: Request, body: Body) -> Body:
        if self.bucket is not None:
            self.bucket -= 1
            if self.bucket < 0:
                raise Refused("38")
        if request.query_params["grant_type"] == "refresh_token":
            return self._refreshed(str(body["refresh_token"]))
        account = self.of(str(body["email"]))
        if account is not None and account.banned:  # said before the password is looked at
            raise Refused("16")
        if account is None or account.password != body["password"]:
            raise Refused("14")
        if not account.confirmed:
            raise Refused("15")
        return self._opened(account, "12" if self.symmetric else "17")

    def _refreshed(self, token: str) -> Body:
        family = next((f for f in self.families.values() if token in f.tokens), None)
        if family is None or family.owner not in self.accounts:
            raise Refused("22")
        account = self.accounts[family.owner]
        if account.banned:
            raise Refused("16")
        place = len(family.tokens) - 1 - family.tokens.index(token)
        if place == 0:
            return self._grant("18", account, family, self._rotated(family))
        if place == 1:  # the parent of the current one answers with the current one
            return self._grant("19", account, family, family.tokens[-1])
        del self.families[family.id]
        return answers.answered(
            "21" if self.algorithm == 2 else "20",
            session_id=str(family.id), user_id=str(account.id),
        )  # fmt: skip

    async def user(self, request: Request, body: Body) -> Body:
        return answers.shown("23", self._bearer(request)[0])

    async def change(self, request: Request, body: Body) -> Body:
        account, session = self._bearer(request)
        if "password" in body:
            _check(account.email, body["password"])
            if account.password == body["password"]:
                return answers.plain(422, "same_password")
            account.password = body["password"]
            self.end(account.id, spare=session)
        return answers.shown("32", account)

    async def logout(self, request: Request, body: Body) -> Body:
        account, session = self._bearer(request)
        scope = request.query_params["scope"]
        self.end(
            account.id,
            only=session if scope == "local" else None,
            spare=session if scope == "others" else None,
        )
        return answers.answered("27")

    async def recover(self, request: Request, body: Body) -> Body:
        if (account := self.of(str(body["email"]))) is not None:
            self.links[secrets.token_hex(28)] = ("recovery", account.id)
        return answers.answered("28")

    async def verify(self, request: Request, body: Body) -> Body:
        kind, owner = self.links.get(body["token_hash"], ("", None))
        if owner is None or kind != body["type"] or owner not in self.accounts:
            raise Refused("31")
        del self.links[body["token_hash"]]
        account = self.accounts[owner]
        account.confirmed = True
        return self._opened(account, "30")

    async def follow(self, request: Request, body: Body) -> Body:
        """What a mailed link leads to in a browser, which uses it up."""
        asked = request.query_params
        if self.links.pop(asked["token"], ("", None))[0] != asked["type"]:
            raise Refused("31")
        site = asked["redirect_to"].removesuffix("/reset")
        return answers.answered("29", site_url=site, uuid=str(uuid4()))

    def _rotated(self, family: Family) -> str:
        family.tokens.append(secrets.token_hex(6))
        return family.tokens[-1]

    def _grant(self, seen: str, account: Account, family: Family, refresh_token: str) -> Body:
        given = {
            "user_id": str(account.id), "session_id": str(family.id),
            "access_token": self.token(account, family.id), "refresh_token": refresh_token,
            "first 5 characters of the refresh token": refresh_token[:5],
        }  # fmt: skip
        said = answers.answered(seen, **given)
        now = int(self.clock().timestamp())
        user = answers.account(seen, account)
        said["body"] |= {"expires_in": LIFE, "expires_at": now + LIFE, "user": user}
        return said

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

    async def jwks(self, _: Request) -> JSONResponse:
        keys = []
        if not self.symmetric:
            public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
            keys = [{**public, "kid": KID, "alg": "ES256", "use": "sig"}]
        return JSONResponse({"keys": keys}, headers={"cache-control": "public, max-age=600"})

    def app(self) -> Starlette:
        """The paths below the project's address."""
        v1, office = "/auth/v1", Office(self)
        return Starlette(routes=[
            Route(f"{v1}/.well-known/jwks.json", self.jwks),
            self._route(f"{v1}/signup", self.sign_up, "POST"),
            self._route(f"{v1}/token", self.token_grant, "POST"),
            self._route(f"{v1}/user", self.user, "GET"),
            self._route(f"{v1}/user", self.change, "PUT"),
            self._route(f"{v1}/logout", self.logout, "POST"),
            self._route(f"{v1}/recover", self.recover, "POST"),
            self._route(f"{v1}/verify", self.verify, "POST"),
            self._route(f"{v1}/verify", self.follow, "GET", keyed=False),
            self._route(f"{v1}/admin/users", office.create, "POST"),
            self._route(f"{v1}/admin/users", office.page, "GET"),
            self._route(f"{v1}/admin/generate_link", office.generate_link, "POST"),
            self._route(f"{v1}/admin/users/{{id}}", office.administer, "GET", "PUT", "DELETE"),
        ])  # fmt: skip

    def _route(self, path: str, answer: Any, *methods: str, keyed: bool = True) -> Route:
        async def endpoint(request: Request) -> Response:
            body = json.loads(await request.body() or b"{}")
            self.seen.append((request.method, request.url.path, body))
            if self.asked is not None:
                await self.asked()
            await asyncio.sleep(self.hang)
            if keyed and "apikey" not in request.headers:
                return answers.respond(request, answers.answered("40"))
            try:
                if self.refuse is not None:
                    raise Refused(self.refuse)
                return answers.respond(request, await answer(request, body))
            except Refused as refused:
                return answers.respond(request, refused.said)

        return Route(path, endpoint, methods=list(methods))


def _check(email: str, password: str) -> None:
    if len(password) < 6:
        raise Refused("03")
    if "@" not in email or len(password.encode()) > 72:
        raise Refused("05")


@asynccontextmanager
async def running(project: Project) -> AsyncIterator[Project]:
    """Serves a project on a real socket."""
    async with serve(project.app()) as served:
        project.url = served.url
        yield project
