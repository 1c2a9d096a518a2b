"""The bus over RabbitMQ: `rabbitmq_queues` says what is declared there, `rabbitmq_wire` connects.

Dead letters move into `medbot.dead_letters`, where either bus keeps them. Every hop is confirmed
before its source is acknowledged: a crash doubles a message, which the inbox makes harmless, and
loses none.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from aio_pika.abc import (
    AbstractIncomingMessage,
    AbstractRobustChannel,
    AbstractRobustConnection,
    AbstractRobustExchange,
)

from contracts.events import Envelope, Event
from kit import background, logs
from kit.bus import Handler, Retries
from kit.bus import rabbitmq_messages as messages
from kit.bus import rabbitmq_queues as queues
from kit.bus import rabbitmq_wire as wire
from kit.bus.handling import attempt
from kit.database import Database, Tx
from kit.errors import ServiceUnavailable
from kit.identity import Actor

PREFETCH = 50
"""Messages that wait at a consumer once it has handled one; each is handled after the other."""
TOGETHER = 10
"""Events that are acknowledged at once, while more wait."""

_log = logs.get(__name__)


@asynccontextmanager
async def open_rabbitmq(
    url: str,
    db: Database,
    *,
    service: str,
    subscriptions: Mapping[str, tuple[type[Event], ...]],
    retries: Retries | None = None,
) -> AsyncIterator["RabbitBus"]:
    """A bus whose broker may come later, go and come back."""
    async with wire.connected(url) as outgoing, wire.connected(url) as incoming:
        yield RabbitBus(outgoing, incoming, db, service, subscriptions, retries or Retries())


class RabbitBus:
    """`subscriptions` says which queue wants which events.

    A broker that is short of memory or disk reads nothing from connections that publish, so what
    is consumed, and makes room, comes by one of its own.
    """

    def __init__(
        self,
        outgoing: AbstractRobustConnection,
        incoming: AbstractRobustConnection,
        db: Database,
        service: str,
        subscriptions: Mapping[str, tuple[type[Event], ...]],
        retries: Retries,
    ) -> None:
        self._outgoing, self._incoming = outgoing, incoming
        self._db = db
        self._actor = Actor.of_service(service)
        self._subscriptions = subscriptions
        self._wanted = {event.topic for events in subscriptions.values() for event in events}
        self._retries = retries
        self._publishing: AbstractRobustChannel | None = None
        self._exchange: AbstractRobustExchange | None = None

    async def ping(self) -> None:
        """Raises ServiceUnavailable while the broker is away."""
        if not (self._outgoing.connected.is_set() and self._incoming.connected.is_set()):
            raise ServiceUnavailable

    async def waiting(self) -> dict[str, int]:
        """How many events wait in each queue; those that wait for another attempt apart.

        Raises:
            ServiceUnavailable
        """
        await self.ping()
        async with wire.asking(wire.CONFIRM_WITHIN), wire.channel(self._incoming) as channel:
            return {name: await self._depth(channel, name) for name in self._subscriptions}

    async def _depth(self, channel: AbstractRobustChannel, queue: str) -> int:
        asked = await channel.declare_queue(queues.name_of(queue), passive=True)
        return asked.declaration_result.message_count or 0

    async def publish(self, tx: Tx, envelopes: list[Envelope]) -> None:
        """Sends a batch and waits until the broker has confirmed every event of it.

        Raises:
            ServiceUnavailable: some are not confirmed; the caller's transaction must roll back.
        """
        await self.ping()
        try:
            async with wire.asking(wire.CONFIRM_WITHIN):
                exchange = self._exchange or await self._open_exchange()
                await asyncio.gather(
                    *(
                        exchange.publish(messages.written(envelope), envelope.type)
                        for envelope in envelopes
                        if envelope.type in self._wanted
                    )
                )
        except ServiceUnavailable:
            await self._leave_exchange()
            raise

    async def replay(self, tx: Tx, queue: str, envelope: Envelope) -> None:
        """Sends an event straight to one queue, whatever `tx` comes to; waits for the broker."""
        async with wire.asking(wire.CONFIRM_WITHIN), wire.channel(self._outgoing) as channel:
            await queues.declare(channel, self._subscriptions, self._retries)
            await channel.default_exchange.publish(
                messages.written(envelope), queues.name_of(queue)
            )

    async def consume(self, queue: str, handler: Handler) -> None:
        """Consumes until cancelled, and keeps the queue's dead letters meanwhile."""
        name = queues.name_of(queue)
        living = self._drain(name, lambda m, x: self._deliver(queue, m, x, handler), TOGETHER)
        dead = self._drain(f"{name}.dead", lambda m, x: self._bury(queue, m, x), 1)
        both = [asyncio.create_task(living), asyncio.create_task(dead)]
        try:
            await asyncio.gather(*both)
        finally:
            await background.ended(*both)

    async def _open_exchange(self) -> AbstractRobustExchange:
        self._publishing = channel = await wire.opened(self._outgoing)
        self._exchange = await queues.declare(channel, self._subscriptions, self._retries)
        return self._exchange

    async def _leave_exchange(self) -> None:
        self._exchange = None
        if self._publishing is not None:
            await wire.close(self._publishing)
            self._publishing = None

    async def _drain(self, name: str, take: "_Take", together: int) -> None:
        """Hands the messages of a queue to `take`, in order, on as many channels as it needs."""
        while True:
            try:
                async with wire.asking(), wire.channel(self._incoming) as channel:
                    await self._drain_channel(channel, name, take, together)
            except ServiceUnavailable as error:
                _log.warning("bus.waiting", queue=name, **logs.failure(error.__cause__ or error))
            await asyncio.sleep(wire.RECONNECT_AFTER)

    async def _drain_channel(
        self, channel: AbstractRobustChannel, name: str, take: "_Take", together: int
    ) -> None:
        """Until the channel is closed, which gives back what was not handled.

        Not by `queue.iterator()`: it ends its consumer first, and the next one gets later messages
        before those. The first message comes alone, and what was handed out before is acknowledged
        by itself: when consumers die over a message, again and again, it soon is the first, and
        none that waits behind it is counted as handed out with it.
        """
        arrived: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        channel.close_callbacks.add(lambda *_: arrived.put_nowait(None))
        async with asyncio.timeout(wire.CONFIRM_WITHIN):
            await queues.declare(channel, self._subscriptions, self._retries)
            queue = await channel.get_queue(name)
            await channel.set_qos(prefetch_count=1)
            alone = await queue.consume(arrived.put)
        if message := await arrived.get():
            await take(message, channel.default_exchange)
            async with asyncio.timeout(wire.CONFIRM_WITHIN):
                await queue.cancel(alone)  # before the acknowledgement, which would bring another
                await _acknowledge([message])
                await channel.set_qos(prefetch_count=PREFETCH)
                await queue.consume(arrived.put)
        handled: list[AbstractIncomingMessage] = []
        try:
            while message and (message := await arrived.get()):
                await take(message, channel.default_exchange)
                handled.append(message)
                if message.redelivered or len(handled) >= together or arrived.empty():
                    await _acknowledge(handled)
        finally:
            await _acknowledge(handled)

    async def _deliver(
        self, queue: str, message: AbstractIncomingMessage, direct: Any, handler: Handler
    ) -> None:
        envelope = messages.read(message)
        if envelope is None:
            await message.reject(requeue=False)  # the broker moves it to the dead letters
            return

        held = False

        async def postpone(error: Exception) -> bool:
            nonlocal held
            held = not await self._has_database()
            return not held and await self._postpone(queue, message, envelope, direct, error)

        while True:
            handled = await attempt(queue, envelope, handler, postpone)
            if handled or not held:
                return
            await asyncio.sleep(wire.RECONNECT_AFTER)

    async def _has_database(self) -> bool:
        """Whether an attempt could have had its effect: without a database none counts."""
        try:
            async with asyncio.timeout(wire.CONFIRM_WITHIN):
                await self._db.ping()
        except Exception as error:
            _log.warning("bus.held", **logs.failure(error))
            return False
        return True

    async def _postpone(
        self,
        queue: str,
        message: AbstractIncomingMessage,
        envelope: Envelope,
        direct: Any,
        error: Exception,
    ) -> bool:
        """Whether that was the last attempt."""
        attempts = messages.attempts(message) + 1
        told = {"queue": queue, "event_id": str(envelope.id), "attempts": attempts}
        dead = attempts > len(self._retries.delays)
        to = "dead" if dead else queues.again(self._retries.delays[attempts - 1])
        log = _log.error if dead else _log.warning
        log("event.dead" if dead else "event.postponed", **told, **logs.failure(error))
        headers = {"attempts": attempts, "error": type(error).__qualname__.lstrip("_")}
        await direct.publish(
            messages.written(envelope, headers),
            f"{queues.name_of(queue)}.{to}",
            timeout=wire.CONFIRM_WITHIN,
        )
        return dead

    async def _bury(self, queue: str, message: AbstractIncomingMessage, direct: Any) -> None:
        """Moves a dead letter into the table; while that takes none it stays in its queue."""
        envelope = messages.read(message)
        if envelope is not None and messages.attempts(message) <= len(self._retries.delays):
            await self._postpone(queue, message, envelope, direct, _TooOften())
            return
        event_id = envelope.id if envelope else uuid.uuid5(uuid.NAMESPACE_OID, message.body.hex())
        said = envelope.model_dump(mode="json") if envelope else {}
        error = str(message.headers.get("error", _NO_EVENT))
        while True:
            try:
                await self._keep(queue, event_id, said, messages.attempts(message), error)
                return
            except asyncpg.DataError:
                said, error = {}, _NO_EVENT  # nothing of ours: no text of PostgreSQL's holds it
            except Exception as failed:  # there is no other place for it
                _log.warning("bus.waiting", queue=f"{queue}.dead", **logs.failure(failed))
                await asyncio.sleep(wire.RECONNECT_AFTER)

    async def _keep(
        self, queue: str, event_id: uuid.UUID, said: dict[str, Any], attempts: int, error: str
    ) -> None:
        async with self._db.transaction(self._actor) as tx:
            await tx.execute(
                "insert into medbot.dead_letters (queue, event_id, envelope, attempts, error)"
                " select $1, $2, $3, $4, $5 where not exists (select from medbot.dead_letters"
                " where queue = $1 and event_id = $2)",
                queue,
                event_id,
                said,
                attempts,
                error,
            )


_Take = Callable[[AbstractIncomingMessage, Any], Awaitable[None]]


_NO_EVENT = "NoEvent"


class _TooOften(Exception):
    """The broker has handed it out too often to consumers that died."""


async def _acknowledge(handled: list[AbstractIncomingMessage]) -> None:
    """All of them at once, but those that were rejected; empties the list."""
    left = [message for message in handled if not message.processed]
    handled.clear()
    if left:
        await left[-1].ack(multiple=True)
