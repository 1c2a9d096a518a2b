"""Dead letters from the command line, where RabbitMQ carries events."""

import asyncio
import json
import uuid
from collections.abc import Callable
from pathlib import Path

import aio_pika
import asyncpg
import pytest
from typer.testing import Result

from contracts.events import Envelope, UserErased
from kit.bus.rabbitmq_queues import EXCHANGE
from kit.database import utc_now
from kit.testing import Addresses
from kit.testing.ports import free_port
from kit.testing.rabbitmq import Broker

Command = Callable[..., Result]
QUEUE = "conversation"


@pytest.fixture
def at_broker(project: Path, addresses: Addresses, broker: Broker) -> Addresses:
    """The project uses the test's database and a broker."""
    (project / ".env.local").write_text(
        f"DATABASE_URL={addresses.service}\nSERVICE_TOKEN_SECRET={'s' * 32}\n"
        f"RABBITMQ_URL={broker.url}\n"
    )
    return addresses


def erased() -> Envelope:
    event = UserErased(user_id=uuid.uuid4(), erasure_id=uuid.uuid4())
    return Envelope(
        id=uuid.uuid4(),
        type=event.topic,
        source="auth",
        subject=event.key,
        time=utc_now(),
        data=event.model_dump(mode="json"),
    )


async def lay_aside(owner_url: str, envelope: Envelope) -> int:
    connection = await asyncpg.connect(owner_url)
    try:
        made = await connection.fetchval(
            "insert into medbot.dead_letters (queue, event_id, envelope, attempts, error)"
            " values ($1, $2, $3, 6, 'ValueError') returning id",
            QUEUE,
            envelope.id,
            json.dumps(envelope.model_dump(mode="json")),
        )
    finally:
        await connection.close()
    return int(made)


async def take(url: str) -> Envelope:
    async with await aio_pika.connect(url) as connection:
        queue = await (await connection.channel()).get_queue(f"{EXCHANGE}.{QUEUE}")
        async with asyncio.timeout(20), queue.iterator() as messages:
            async for message in messages:
                await message.ack()
                return Envelope.model_validate_json(message.body)
    raise AssertionError("the queue ended")


def test_a_dead_letter_is_shown_and_handed_to_its_queue_again(
    medbot: Command, at_broker: Addresses, broker: Broker
) -> None:
    envelope = erased()
    number = asyncio.run(lay_aside(at_broker.owner, envelope))
    shown = medbot("events", "dead", "--queue", QUEUE)
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(f"{number} {QUEUE} {envelope.type} ValueError after 6 attempts")
    replayed = medbot("events", "replay", str(number))
    assert replayed.exit_code == 0, replayed.output
    assert asyncio.run(take(broker.url)) == envelope
    assert medbot("events", "dead").output == ""
    again = medbot("events", "replay", str(number))
    assert again.exit_code != 0


@pytest.mark.usefixtures("at_broker")
@pytest.mark.parametrize("number", ["0", "-1", "abc", "99999999999999999999"])
def test_what_is_no_number_of_a_letter_is_refused(medbot: Command, number: str) -> None:
    refused = medbot("events", "replay", "--", number)
    assert refused.exit_code == 2, refused.output
    assert "Traceback" not in refused.output


def test_of_several_letters_each_is_told_of(medbot: Command, at_broker: Addresses) -> None:
    numbers = [asyncio.run(lay_aside(at_broker.owner, erased())) for _ in range(2)]
    asked = [str(number) for number in (numbers[0], 77_777, numbers[0], numbers[1])]
    told = medbot("events", "replay", *asked)
    assert told.exit_code == 1
    assert told.stdout.splitlines() == [f"{number} replayed" for number in numbers]
    assert "77777 was not replayed" in told.output
    assert medbot("events", "dead").output == ""


def test_without_its_broker_a_letter_stays(
    medbot: Command, at_broker: Addresses, project: Path
) -> None:
    number = asyncio.run(lay_aside(at_broker.owner, erased()))
    settings = project / ".env.local"
    away = f"RABBITMQ_URL=amqp://me:quiet@127.0.0.1:{free_port()}/\n"
    settings.write_text(f"{settings.read_text().partition('RABBITMQ_URL')[0]}{away}")
    refused = medbot("events", "replay", str(number))
    assert refused.exit_code == 1
    assert f"{number} was not replayed" in refused.output
    assert "quiet" not in refused.output
    assert medbot("events", "dead").output.startswith(f"{number} {QUEUE}")
