"""The calls of the project on the loopback that its service key alone may make."""

import json
import secrets
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import supabase_answers as answers
from starlette.requests import Request
from supabase_answers import Account, Body, Refused

if TYPE_CHECKING:
    from supabase_server import Project

SERVICE = "the-service-role-key-of-a-project"


class Office:
    """They change the accounts of a project."""

    def __init__(self, project: "Project") -> None:
        self._project = project

    def _administers(self, request: Request) -> None:
        if request.headers["authorization"] != f"Bearer {SERVICE}":
            raise Refused("34")

    async def generate_link(self, request: Request, body: Body) -> Body:
        self._administers(request)
        account = self._project.of(str(body["email"]))
        if account is None:
            return answers.plain(404, "user_not_found")
        token = secrets.token_hex(28)
        self._project.links[token] = (body["type"], account.id)
        said = answers.shown("37", account)
        said["body"]["hashed_token"] = token
        return said

    async def page(self, request: Request, body: Body) -> Body:
        """Accounts, newest first; how many there are stands in the headers."""
        self._administers(request)
        page, size = (int(request.query_params[name]) for name in ("page", "per_page"))
        newest = sorted(self._project.accounts.values(), key=lambda a: a.made_at, reverse=True)
        shown = [_listed(each) for each in newest[(page - 1) * size : page * size]]
        last = -(-len(newest) // size)
        link = [f'</admin/users?page={last}&per_page={size}>; rel="last"']
        if page < last:
            link.insert(0, f'</admin/users?page={page + 1}&per_page={size}>; rel="next"')
        headers = {"link": ", ".join(link), "x-total-count": str(len(newest))}
        return {**answers.answered("35"), "headers": headers,
                "body": {"users": shown, "aud": "authenticated"}}  # fmt: skip

    async def create(self, request: Request, body: Body) -> Body:
        self._administers(request)
        email = str(body["email"]).lower()
        if self._project.of(email) is not None:
            return answers.plain(422, "email_exists")
        app = {**answers.PROVIDED, **body.get("app_metadata", {})}
        made = Account(
            uuid4(), email, body["password"], self._project.clock(),
            body.get("email_confirm", False), app=app, data=body.get("user_metadata", {}),
        )  # fmt: skip
        await self._project.add(made)
        return answers.shown("33", made)

    async def administer(self, request: Request, body: Body) -> Body:
        self._administers(request)
        account = self._project.accounts.get(UUID(request.path_params["id"]))
        if account is None:
            return answers.plain(404, "user_not_found")
        if request.method == "DELETE":
            await self._project.delete(account)
            return {"status": 200, "headers": {}, "body": {}}
        if "app_metadata" in body:  # merged at its top level; null takes away
            merged = account.app | body["app_metadata"]
            account.app = {name: said for name, said in merged.items() if said is not None}
            await self._project.sql(
                "update auth.users set raw_app_meta_data = $2 where id = $1",
                account.id, json.dumps(account.app),
            )  # fmt: skip
        if (ban := body.get("ban_duration")) is not None:
            account.banned = ban != "none"
        return answers.shown("36", account)


def _listed(account: Account) -> Body:
    said: Body = answers.shown("36", account)["body"] | {"identities": None}
    names = ["last_sign_in_at"]
    if not account.confirmed:
        names += ["confirmed_at", "email_confirmed_at"]
    return {name: each for name, each in said.items() if name not in names}
