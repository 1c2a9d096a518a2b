"""Makes titles and summaries, in the background and again after a crash, never twice."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from assistant import asides, recall, titles
from assistant.asides import Aside
from assistant.reply import Assistant
from assistant.turns import Turn
from conversation_service.feed import store as feed
from conversation_service.summaries import store as summaries
from conversation_service.summaries.models import Kept
from conversation_service.upkeep import exchanges, store
from conversation_service.upkeep.store import Wanted
from conversation_service.usage.budget import Budget
from kit import logs
from kit.database import CONNECTION_ERRORS, Database
from kit.errors import ServiceUnavailable
from kit.identity import Actor
from kit.signals import Signals

ITSELF = Actor.of_service("conversation")
AT_ONCE = 4
LEASE = 60.0
MODEL_WITHIN = 15.0
"""Seconds that models have for a title or for a summary; then it is made without them."""

PROSE = 2_500
"""Characters of a summary that a model writes."""

BATCH = 200
"""Messages that are read into a summary at a time."""

_log = logs.get(__name__)


async def run(db: Database, signals: Signals, assistant: Assistant, budget: Budget) -> None:
    """Looks after conversations until cancelled; a database that is away is waited for."""
    with signals.on(store.SIGNAL) as woken:
        while True:
            try:
                while await look_after_some(db, assistant, budget):
                    pass
            except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
                _log.warning("upkeep.waiting", **logs.failure(error))
            await woken(5.0)


async def look_after_some(db: Database, assistant: Assistant, budget: Budget) -> int:
    """Does what is wanted by some conversations; answers how many those were."""
    async with db.transaction(ITSELF) as tx:
        await store.give_up(tx)
        wanted = await store.claim(tx, LEASE, AT_ONCE)
    await asyncio.gather(*(_look_after(db, assistant, budget, each) for each in wanted))
    return len(wanted)


async def _look_after(db: Database, assistant: Assistant, budget: Budget, wanted: Wanted) -> None:
    try:
        await give_title(db, assistant, budget, wanted.conversation_id)
        await sum_up(db, assistant, budget, wanted.conversation_id)
    except (*CONNECTION_ERRORS, ServiceUnavailable):
        raise
    except Exception as error:  # one conversation must not keep the others waiting
        _log.error("upkeep.failed", **logs.failure(error))
        return
    async with db.transaction(ITSELF) as tx:
        await store.done(tx, wanted)


async def give_title(
    db: Database, assistant: Assistant, budget: Budget, conversation_id: UUID
) -> None:
    """Titles a conversation after its first exchange, unless somebody has or does so meanwhile."""
    async with db.transaction(ITSELF) as tx:
        first = await exchanges.untitled(tx, conversation_id)
    if first is None:
        return
    title = titles.make(first.question, first.level, first.topics)
    if assistant.models and first.level != "crisis":
        material = f"{first.question}\n\n{first.reply}"[:4_000]
        aside = await _aside(db, assistant, budget, conversation_id, "title", material, longest=120)
        title = titles.tidy(aside.text or "")[:120] or title
    async with db.transaction(ITSELF) as tx:
        owner = await exchanges.set_title(tx, conversation_id, title, of=first.messages)
        if owner is not None:
            ref = {"conversation_id": conversation_id}
            await feed.append(tx, owner, "conversation.changed", ref)


async def sum_up(db: Database, assistant: Assistant, budget: Budget, conversation_id: UUID) -> None:
    """Brings the running summary up to the newest message, a batch at a time."""
    while True:
        async with db.transaction(ITSELF) as tx:
            if not await exchanges.wants_summary(tx, conversation_id, store.SHORT):
                return
            await summaries.hold(tx, conversation_id)
            known = await summaries.get(tx, conversation_id)
            fresh = await summaries.turns(tx, conversation_id, after=known.through, limit=BATCH)
            if not fresh:
                return
            through = fresh[-1][0]
            said = await summaries.said(
                tx, conversation_id, after=known.through, before=through + 1, limit=BATCH
            )
            messages = await summaries.covered(tx, conversation_id, through)
        facts = recall.merge(known.facts, said)
        kept, usage = Kept(through, facts), []
        if assistant.models and len(fresh) < BATCH:  # a long talk is put into words once
            material = _material(known, [turn for _, turn in fresh])
            aside = await _aside(
                db, assistant, budget, conversation_id, "summary", material, longest=PROSE
            )
            writer = aside.usage[-1].model if aside.text and aside.usage else None
            kept = Kept(through, facts, aside.text or known.prose, writer or known.written_by)
            usage = [asdict(use) for use in aside.usage]
        async with db.transaction(ITSELF) as tx:
            await summaries.put(tx, conversation_id, kept, usage, messages=messages)
        if len(fresh) < BATCH:
            return


async def _aside(
    db: Database,
    assistant: Assistant,
    budget: Budget,
    conversation_id: UUID,
    prompt: str,
    material: str,
    *,
    longest: int,
) -> Aside:
    """What a model writes, within the caps on cost: without room for it, nothing."""
    async with db.transaction(ITSELF) as tx:
        owner = await exchanges.owner(tx, conversation_id)
        if owner is None or owner.id is None or owner.kind == "guest":
            return Aside()  # a guest's hour is over before a title in fine words is of use
        room = await budget.set_aside(tx, owner, characters=len(material), rounds=1)
    if room.reached is not None:
        return Aside()
    aside = await asides.write(
        assistant.models, prompt, material, longest=longest, within=MODEL_WITHIN
    )
    async with db.transaction(ITSELF) as tx:
        await budget.settle(tx, room, owner.id, aside.usage, whole=not aside.cut)
    return aside


def _material(known: Kept, fresh: Sequence[Turn]) -> str:
    """What a model sums up: the summary so far and the newest turns, cut to a bound."""
    said = "\n".join(f"{turn.role}: {turn.content[:800]}" for turn in fresh)
    return f"So far:\n{recall.told(known.facts, known.prose)}\n\nSince then:\n{said[-12_000:]}"
