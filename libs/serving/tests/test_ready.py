"""Whether a service is ready, asked by as many as like to."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse

from serving.app import Readiness


class Part:
    """Something that a service needs, which takes a moment to answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    async def ping(self) -> None:
        self.asked += 1
        await asyncio.sleep(0.02)
        if self.away:
            raise OSError


def rows(answer: JSONResponse) -> Sequence[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bytes(answer.body))["checks"]
    return found


async def test_many_who_ask_at_once_cost_one_look() -> None:
    part = Part()
    readiness = Readiness({"part": part.ping}, {})
    answers = await asyncio.gather(*(readiness.answer(draining=False) for _ in range(50)))
    assert part.asked == 1
    assert {answer.status_code for answer in answers} == {200}
    assert {row["name"] for answer in answers for row in rows(answer)} == {"part"}


async def test_who_asks_later_sees_what_is_then() -> None:
    part, other = Part(), Part()
    readiness = Readiness({"part": part.ping}, {"other": other.ping})
    other.away = True
    assert (await readiness.answer(draining=False)).status_code == 200
    part.away = True
    away = await readiness.answer(draining=False)
    assert (away.status_code, [row["ok"] for row in rows(away)]) == (503, [False, False])
    part.away = False
    assert (await readiness.answer(draining=False)).status_code == 200
    assert (await readiness.answer(draining=True)).status_code == 503


async def test_one_who_leaves_takes_nobodys_answer_away() -> None:
    part = Part()
    readiness = Readiness({"part": part.ping}, {})
    leaving = asyncio.create_task(readiness.answer(draining=False))
    staying = asyncio.create_task(readiness.answer(draining=False))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).status_code == 200
    assert part.asked == 1
