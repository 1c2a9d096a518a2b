"""What models cost is counted, and a cap on it holds, also when many ask at the same moment."""

import asyncio
import uuid

import asyncpg
import httpx
import pytest
from conversing import Visit
from model_server import Cut, Pause, Refuse, Say, Step, Until
from offices import NOTICE, QUESTION, TOOK, USAGE, Open, aside, titled

from conversation_service import main
from conversation_service.usage import store
from kit.database import Database
from kit.identity import Actor, Role
from kit.testing import Addresses, Issuer, Served, make_person
from privacy import audit


async def test_without_a_cap_usage_is_counted_and_nothing_is_set_aside(
    office: Open, visit: Visit
) -> None:
    it = await office()
    alice = await visit(it.served)
    reply = (await alice.send(await alice.start("x"), QUESTION)).json()["assistant_message"]
    assert (reply["content"], reply["limited"]) == ("Rest.", None)
    assert await it.counted() == TOOK
    assert await it.counted("sum(calls)") == 1
    assert await it.counted("sum(prompt_tokens)") == 11
    assert await it.owner.fetchval("select count(*) from medbot.spending") == 0


async def test_when_a_persons_cap_is_reached_the_library_answers_and_says_so(
    office: Open, visit: Visit
) -> None:
    it = await office(cost_cap_person_day_usd=(aside() + 20_000_000) / 1e6)
    alice, bob = await visit(it.served), await visit(it.served)
    first = (await alice.send(await alice.start("x"), QUESTION)).json()["assistant_message"]
    assert first["content"] == "Rest."
    await it.owner.execute("update medbot.spending set micro_usd = micro_usd + 20000000")
    path = await alice.start("x")
    second = (await alice.send(path, QUESTION)).json()["assistant_message"]
    assert second["limited"] == "person"
    assert NOTICE in second["content"]
    assert "[1]" in second["content"]
    events = await alice.ask(path, QUESTION)
    assert events[-1].json()["message"]["limited"] == "person"
    assert len(it.model.requests) == 1
    others = (await bob.send(await bob.start("x"), QUESTION)).json()["assistant_message"]
    assert (others["content"], others["limited"]) == ("Rest.", None)


async def test_the_installations_cap_holds_for_everybody_guests_too(
    office: Open, visit: Visit
) -> None:
    it = await office(cost_cap_day_usd=0.0)
    for actor in (None, Actor((await visit(it.served)).actor.id, "guest")):
        person = await visit(it.served, actor)
        reply = (await person.send(await person.start("x"), QUESTION)).json()
        assert reply["assistant_message"]["limited"] == "installation"
        assert NOTICE in reply["assistant_message"]["content"]
    assert it.model.requests == []


async def test_whoever_is_in_danger_hears_nothing_of_money(office: Open, visit: Visit) -> None:
    it = await office(cost_cap_day_usd=0.0)
    alice = await visit(it.served)
    for words in ("I have crushing chest pain and cannot breathe", "I want to kill myself"):
        reply = (await alice.send(await alice.start("x"), words)).json()["assistant_message"]
        assert "limit" not in reply["content"]
        assert reply["limited"] == "installation"


@pytest.mark.parametrize("cap", ["cost_cap_day_usd", "cost_cap_person_day_usd"])
async def test_fifty_replies_at_once_do_not_overshoot_a_cap(
    office: Open, visit: Visit, cap: str
) -> None:
    room_for = 7
    all_asked = asyncio.Event()
    script = [Say("Rest."), Until(all_asked)]
    money = (room_for * (aside() + 100_000)) / 1e6
    it = await office(script, llm_first_token_seconds=60.0, **{cap: money})
    people = [await visit(it.served) for _ in range(10 if cap == "cost_cap_day_usd" else 1)]
    askers = [people[number % len(people)] for number in range(50)]
    paths = [await asker.start("x") for asker in askers]
    asking = [
        asyncio.create_task(asker.send(path, QUESTION))
        for asker, path in zip(askers, paths, strict=True)
    ]
    async with asyncio.timeout(60):
        while len(it.model.requests) + sum(one.done() for one in asking) < len(asking):
            await asyncio.sleep(0.05)
    all_asked.set()
    answers = await asyncio.gather(*asking)
    replies = [answer.json()["assistant_message"] for answer in answers]
    by_model = [reply for reply in replies if reply["limited"] is None]
    assert len(by_model) == len(it.model.requests) == room_for
    assert {reply["content"] for reply in by_model} == {"Rest."}
    assert all(NOTICE in reply["content"] for reply in replies if reply["limited"])
    assert await it.counted() == room_for * TOOK
    spent = await it.owner.fetchval("select max(micro_usd) from medbot.spending")
    assert spent == room_for * TOOK, "what was set aside and not taken is free again"


async def test_over_time_a_cap_lets_through_what_it_pays_for(office: Open, visit: Visit) -> None:
    cap = aside() + 5 * TOOK
    it = await office(cost_cap_day_usd=cap / 1e6)
    alice = await visit(it.served)
    limited = []
    for _ in range(7):
        reply = (await alice.send(await alice.start("x"), QUESTION)).json()["assistant_message"]
        limited.append(reply["limited"])
    paid = limited.count(None)
    assert 2 <= paid <= 6
    assert limited == [None] * paid + ["installation"] * (7 - paid)
    assert await it.spent() == await it.counted() == paid * TOOK <= cap


@pytest.mark.parametrize("script", [[Say("Rest"), Cut()], [Say("Rest"), Pause(30)]])
async def test_a_call_that_never_told_what_it_took_costs_what_was_set_aside(
    office: Open, visit: Visit, script: list[Step]
) -> None:
    it = await office(script, cost_cap_day_usd=100_000.0)
    alice = await visit(it.served)
    path = await alice.start("x")
    async with alice.stream("POST", f"{path}/messages", json={"content": QUESTION}) as events:
        async for event in events:
            if event.event == "delta":
                ids = (await alice.messages(path))[-1]["id"]
                await alice.http.post(f"{path}/messages/{ids}/stop")
    assert await it.spent() == await it.counted() >= aside()
    assert await it.owner.fetchval("select provider from medbot.usage") == "unreported"


async def test_a_model_that_refuses_costs_nothing(office: Open, visit: Visit) -> None:
    it = await office([Refuse(500)], cost_cap_day_usd=100_000.0)
    alice = await visit(it.served)
    reply = (await alice.send(await alice.start("x"), QUESTION)).json()["assistant_message"]
    assert reply["limited"] is None
    assert (await it.spent(), await it.counted()) == (0, 0)


async def test_a_cap_that_is_set_in_the_middle_of_a_day_knows_what_was_spent_before(
    office: Open, visit: Visit
) -> None:
    free = await office()
    alice = await visit(free.served)
    await alice.send(await alice.start("x"), QUESTION)
    capped = await office(cost_cap_person_day_usd=(aside() + TOOK // 2) / 1e6)
    again = await visit(capped.served, alice.actor)
    reply = (await again.send(await again.start("x"), QUESTION)).json()["assistant_message"]
    assert reply["limited"] == "person"


async def test_what_a_guest_has_spent_counts_for_the_person_they_prove_to_be(
    office: Open, visit: Visit, database: Database
) -> None:
    it = await office(cost_cap_person_day_usd=100_000.0)
    alice, guest = await visit(it.served), await visit(it.served)
    for one in (alice, guest):
        await one.send(await one.start("x"), QUESTION)
    assert guest.actor.id is not None
    assert alice.actor.id is not None
    async with database.transaction(Actor.of_service("conversation")) as tx:
        for _ in range(2):
            await store.join(tx, guest.actor.id, alice.actor.id)
    for table in ("usage", "spending"):
        rows = await it.owner.fetch(f"select owner_id, micro_usd from medbot.{table}")
        assert [tuple(row) for row in rows] == [(alice.actor.id, 2 * TOOK)], table


async def test_a_title_that_a_model_writes_is_counted_too(office: Open, visit: Visit) -> None:
    it = await office(cost_cap_day_usd=100_000.0)
    it.model.aside = [Say("Headache")]
    alice = await visit(it.served)
    path = await alice.start()
    await alice.send(path, QUESTION)
    assert await titled(alice, path) == "Headache"
    assert await it.counted("sum(calls)") == 2
    assert await it.spent() == await it.counted() == 2 * TOOK


@pytest.mark.parametrize(
    ("script", "costs"), [([Refuse(503)], TOOK), ([Say("No end. " * 50)], TOOK + aside(rounds=1))]
)
async def test_a_title_that_is_broken_off_costs_and_one_that_is_refused_does_not(
    office: Open, visit: Visit, script: list[Step], costs: int
) -> None:
    it = await office(cost_cap_day_usd=100_000.0)
    it.model.aside = script
    alice = await visit(it.served)
    path = await alice.start()
    await alice.send(path, QUESTION)
    await titled(alice, path)
    assert costs <= await it.spent() == await it.counted() < costs + 1_000_000


async def test_without_room_a_title_is_made_without_a_model(office: Open, visit: Visit) -> None:
    it = await office(cost_cap_day_usd=0.0)
    alice = await visit(it.served)
    path = await alice.start()
    await alice.send(path, QUESTION)
    assert "eadache" in await titled(alice, path)
    assert it.model.requests == it.model.asides == []


async def test_usage_shows_to_its_person_and_spending_to_services_alone(
    office: Open, visit: Visit, database: Database
) -> None:
    it = await office(cost_cap_person_day_usd=100_000.0)
    alice, bob = await visit(it.served), await visit(it.served)
    await alice.send(await alice.start("x"), QUESTION)
    for actor, own in ((alice.actor, 1), (bob.actor, 0)):
        async with database.transaction(actor) as tx:
            assert await tx.fetchval("select count(*) from medbot.usage") == own
            assert await tx.fetchval("select count(*) from medbot.spending") == 0
            assert await tx.execute("update medbot.usage set micro_usd = 0") == "UPDATE 0"
            assert await tx.execute("delete from medbot.spending") == "DELETE 0"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.transaction(actor) as tx:
                await tx.execute(
                    "insert into medbot.spending values (current_date, $1, 0)", uuid.uuid4()
                )


async def _as(
    issuer: Issuer, served: Served, addresses: Addresses, *roles: Role
) -> tuple[Actor, httpx.AsyncClient]:
    actor = await make_person(addresses)
    token = issuer.token(actor, roles=[Role.PATIENT, *roles])
    headers = {"authorization": f"Bearer {token}"}
    return actor, httpx.AsyncClient(base_url=served.url, headers=headers)


async def test_usage_is_told_to_admins_and_that_is_audited(
    office: Open, visit: Visit, issuer: Issuer, addresses: Addresses
) -> None:
    it = await office(cost_cap_day_usd=100_000.0)
    alice = await visit(it.served)
    await alice.send(await alice.start("x"), QUESTION)
    await alice.send(await alice.start("x"), QUESTION)
    admin, http = await _as(issuer, it.served, addresses, Role.ADMIN)
    async with http:
        for by, name in (
            ("day", None), ("person", str(alice.actor.id)), ("model", "openai some-model"),
            ("service", "conversation"),
        ):  # fmt: skip
            report = (await http.get(USAGE, params={"by": by})).json()
            (item,) = report["items"]
            assert name is None or item["name"] == name
            assert (item["calls"], item["usd"]) == (2, 2 * TOOK / 1e6)
        assert report["caps"] == {
            "person_day_usd": None, "guest_day_usd": None, "address_day_usd": None,
            "day_usd": 100_000.0,
        }  # fmt: skip
        empty = (await http.get(USAGE, params={"from": "2020-01-01", "to": "2020-02-01"})).json()
        assert (empty["items"], empty["total_usd"]) == ([], 0)
        assert (await http.get(USAGE, params={"to": "0001-01-01"})).status_code == 422
    rows = await it.owner.fetch(
        "select service, action, outcome, actor_roles, cardinality(subjects) as about,"
        " p.person_id from medbot.audit_log l join medbot.audit_people p on p.pseudonym = l.actor"
        " order by seq"
    )
    assert [row["about"] for row in rows] == [0, 1, 0, 0, 0]
    assert {(row["service"], row["action"], row["person_id"]) for row in rows} == {
        ("conversation", "usage.read", admin.id)
    }


async def test_usage_is_for_admins_alone_and_never_unaudited(
    office: Open, issuer: Issuer, addresses: Addresses
) -> None:
    it = await office()
    for roles in ((), (Role.STAFF,)):
        _, http = await _as(issuer, it.served, addresses, *roles)
        async with http:
            assert (await http.get(USAGE)).json()["code"] == "auth.forbidden"
    await it.owner.execute("revoke execute on function medbot.audit_append from medbot_app")
    _, http = await _as(issuer, it.served, addresses, Role.ADMIN)
    async with http:
        refused = await http.get(USAGE)
    assert (refused.status_code, refused.json()["code"]) == (503, "audit.not_recorded")


def test_every_admin_route_here_has_a_desk() -> None:
    found = [
        route
        for route in main.build().routes
        if "/admin/" in getattr(route, "path", "") and hasattr(route, "dependant")
    ]
    assert [route for route in found if audit.unaudited(route.dependant.dependencies)] == []
