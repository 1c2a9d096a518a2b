"""Walks the routes of a service for one that anybody could call unnoticed."""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from tokens import doors


def unguarded(app: FastAPI) -> Iterator[str]:
    """The routes that are neither guarded nor marked public."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, APIRoute):
            continue
        guarded = any(dependant.call in doors.guards for dependant in route.dependant.dependencies)
        if not guarded and (route.openapi_extra or {}).get("security") != []:
            yield f"{sorted(route.methods or ())} {context.path}"
