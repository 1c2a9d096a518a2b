"""A route that somebody forgot to guard is found, also behind an included router."""

from fastapi import APIRouter, FastAPI

from tokens.doors import PUBLIC, Admin, Caller, Person
from tokens.guards import unguarded


def test_a_forgotten_guard_is_found() -> None:
    router = APIRouter(prefix="/things")

    @router.get("/forgotten")
    async def forgotten() -> None: ...

    @router.get("/public", openapi_extra=PUBLIC)
    async def public() -> None: ...

    @router.get("/own")
    async def own(person: Person) -> None: ...

    @router.get("/all")
    async def everything(admin: Admin) -> None: ...

    @router.get("/internal")
    async def internal(caller: Caller) -> None: ...

    app = FastAPI()
    app.include_router(router)
    assert list(unguarded(app)) == ["['GET'] /things/forgotten"]
