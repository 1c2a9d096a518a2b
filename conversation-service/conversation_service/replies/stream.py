"""A reply as its readers get it: live or long finished, from any character, on any instance."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from conversation_service.context import Context
from conversation_service.messages import store as messages
from conversation_service.messages.models import Message, MessageId, Triage
from conversation_service.replies import store
from conversation_service.replies.models import BeyondEnd, ReplyFailed, Snapshot, StreamCut
from conversation_service.sse import ServerEvent
from kit.database import CONNECTION_ERRORS, Tx
from kit.errors import NotFound, ServiceUnavailable
from kit.identity import Actor
from serving import problems

AWAY_WITHIN = 8.0
"""Seconds that a reader waits for a database that has gone away, before the stream says so."""

ITSELF = Actor.of_service("conversation")

_T = TypeVar("_T")

_STRETCH = re.compile(r".{1,240}?(?:(?<=[.!?:\]])\s+|\n+|$)|.{240}", re.DOTALL)
"""How a long text is cut into deltas: after sentences and lines, wherever else it must."""


@dataclass(slots=True)
class _Reader:
    """What one reader has been sent. Offsets count code points."""

    sent: int
    known: int = 0
    part: int = -1
    cited: set[int] = field(default_factory=set)

    def take(self, shot: Snapshot) -> Iterator[ServerEvent]:
        """The events that a fresh snapshot adds."""
        if shot.status == "streaming":
            for part in shot.parts:
                self.part = part.seq
                for tool in part.tools:
                    yield ServerEvent("tool", tool)
                yield from self._cite(part.citations)
                yield from self._say(part.start, part.text)
            return
        yield from self._cite([asdict(citation) for citation in shot.citations])
        yield from self._say(self.known, shot.content[self.known :])

    def _cite(self, citations: Sequence[dict[str, Any]]) -> Iterator[ServerEvent]:
        for citation in citations:
            if citation["marker"] not in self.cited:
                self.cited.add(citation["marker"])
                yield ServerEvent("citation", citation)

    def _say(self, start: int, text: str) -> Iterator[ServerEvent]:
        self.known = start + len(text)
        skip = max(0, self.sent - start)
        for stretch in _STRETCH.findall(text[skip:]):
            yield ServerEvent("delta", {"text": stretch, "offset": self.sent})
            self.sent += len(stretch)


async def open_stream(
    ctx: Context, actor: Actor, conversation_id: UUID, message_id: UUID, *, after: int = 0
) -> AsyncGenerator[ServerEvent, None]:
    """The stream of a reply from character `after` on.

    Raises:
        NotFound: the actor has no such reply.
        BeyondEnd: the reply has ended before `after`.
    """
    async with ctx.db.transaction(actor) as tx:
        shot = await store.snapshot(tx, conversation_id, message_id)
    if shot is None:
        raise NotFound
    if shot.status != "streaming" and after > len(shot.content):
        raise BeyondEnd
    return _events(ctx, actor, conversation_id, message_id, shot, after)


async def _events(
    ctx: Context,
    actor: Actor,
    conversation_id: UUID,
    message_id: UUID,
    shot: Snapshot,
    after: int,
) -> AsyncGenerator[ServerEvent, None]:
    ids = {"user_message_id": str(shot.reply_to), "assistant_message_id": str(message_id)}
    yield ServerEvent("message", ids)
    if shot.triage is not None and shot.triage["level"] != "none":
        yield ServerEvent("triage", Triage(**shot.triage).model_dump(mode="json"))
    reader = _Reader(sent=after)
    with ctx.signals.on(store.grown(message_id)) as woken:
        current: Snapshot | None = shot
        listened = False  # the first look was before the signal was waited for: look again at once
        while current is not None:
            for event in reader.take(current):
                yield event
            if current.status != "streaming":
                break
            if listened:
                await woken()
            listened = True
            try:
                current = await _look(ctx, actor, conversation_id, message_id, reader.part)
            except (*CONNECTION_ERRORS, ServiceUnavailable):
                yield _cut()
                return
        try:
            last = await _last(ctx, actor, conversation_id, MessageId(message_id))
        except (*CONNECTION_ERRORS, ServiceUnavailable):
            last = _cut()
    yield last


def _cut() -> ServerEvent:
    """The end of a stream whose reply goes on, or can be read, when the database is back."""
    return ServerEvent("error", problems.of_domain(StreamCut()))


async def _look(
    ctx: Context, actor: Actor, conversation_id: UUID, message_id: UUID, part: int = -1
) -> Snapshot | None:
    """The reply now; a database that is away is waited for, `AWAY_WITHIN` seconds at most."""

    async def look(tx: Tx) -> Snapshot | None:
        return await store.snapshot(tx, conversation_id, message_id, part)

    return await _read(ctx, actor, look)


async def _last(
    ctx: Context, actor: Actor, conversation_id: UUID, message_id: MessageId
) -> ServerEvent:
    async def get(tx: Tx) -> Message | None:
        return await messages.get(tx, message_id)

    message = await _read(ctx, actor, get)
    if message is None:  # deleted while it was read
        return ServerEvent("error", problems.of_domain(NotFound()))
    if message.status == "failed":
        return ServerEvent("error", problems.of_domain(ReplyFailed()))
    return ServerEvent("done", {"message": message.model_dump(mode="json")})


async def _read(
    ctx: Context, actor: Actor, step: Callable[[Tx], Awaitable[_T | None]]
) -> _T | None:
    """What `step` finds, tried again while the database is away.

    A guest who signs in while a reply runs reads it to its end, though it is the person's now: it
    was theirs when they began to read it.
    """
    deadline = time.monotonic() + AWAY_WITHIN
    while True:
        try:
            async with ctx.db.transaction(actor) as tx:
                found = await step(tx)
            if found is None and actor.kind == "guest":
                async with ctx.db.transaction(ITSELF) as tx:
                    found = await step(tx)
            return found
        except (*CONNECTION_ERRORS, ServiceUnavailable):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


async def whole(
    ctx: Context, actor: Actor, conversation_id: UUID, message_id: UUID
) -> tuple[Message, Message]:
    """Waits for the end of a reply; answers the question and the reply.

    Raises:
        NotFound: there is no such reply, or it was deleted meanwhile.
        ReplyFailed: it ended without being whole.
    """

    async def both(tx: Tx) -> tuple[Message | None, Message | None] | None:
        shot = await store.snapshot(tx, conversation_id, message_id)
        if shot is None:
            return None
        if shot.status == "streaming":
            return (None, None)
        question = await messages.get(tx, MessageId(shot.reply_to))
        return (question, await messages.get(tx, MessageId(message_id)))

    with ctx.signals.on(store.grown(message_id)) as woken:
        while True:
            found = await _read(ctx, actor, both)
            if found is None:
                raise NotFound
            question, reply = found
            if question is not None and reply is not None:
                break
            await woken()
    if reply.status == "failed":
        raise ReplyFailed
    return question, reply
