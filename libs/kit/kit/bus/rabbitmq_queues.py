"""What is declared at the broker: one topic exchange, a quorum queue a consumer, delays as queues.

A queue `Q` has `Q.again.<ms>` for each delay, whose messages fall back into `Q` when their time
is up, and `Q.dead` for what no attempt could handle.
"""

from collections.abc import Mapping

import aio_pika
from aio_pika.abc import AbstractRobustChannel, AbstractRobustExchange

from contracts.events import Event
from kit.bus import Retries

EXCHANGE = "medbot"
DELIVERIES = 20
"""How often the broker hands out a message whose consumers die; then it counts as one failed
attempt, since it may only have waited behind the one that killed them."""


async def declare(
    channel: AbstractRobustChannel,
    subscriptions: Mapping[str, tuple[type[Event], ...]],
    retries: Retries,
) -> AbstractRobustExchange:
    """Makes the exchange and every queue, whoever consumes it; answers the exchange."""
    exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    for queue, events in subscriptions.items():
        name = name_of(queue)
        dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}.dead"}
        main = await channel.declare_queue(
            name, durable=True, arguments={**_QUORUM, **dead, "x-delivery-limit": DELIVERIES}
        )
        await channel.declare_queue(f"{name}.dead", durable=True, arguments=_DEAD)
        for delay in retries.delays:
            back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name}
            await channel.declare_queue(
                f"{name}.{again(delay)}",
                durable=True,
                arguments={**_SURE, **back, "x-message-ttl": round(delay * 1000)},
            )
        for event in events:
            await main.bind(exchange, event.topic)
    return exchange


# A dead letter is sure to arrive only when it is handed on at least once, which needs a queue
# that refuses what it cannot hold.
_SURE = {
    "x-queue-type": "quorum",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
_ONE_AT_A_TIME = {"x-single-active-consumer": True}
_QUORUM = {**_SURE, **_ONE_AT_A_TIME}
# Brokers have a limit of their own where none is named, and drop what passes it.
_DEAD = {"x-queue-type": "quorum", **_ONE_AT_A_TIME, "x-delivery-limit": 2**31 - 1}


def name_of(queue: str) -> str:
    return f"{EXCHANGE}.{queue}"


def again(delay: float) -> str:
    return f"again.{round(delay * 1000)}"
