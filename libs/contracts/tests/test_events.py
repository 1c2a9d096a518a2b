"""Events keep to their form: topics, ids alone, frozen, and CloudEvents on the wire."""

import re
import uuid
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from contracts import events

EVENTS = [e for e in events.Event.__subclasses__() if e.__module__ == events.__name__]
TOPIC = re.compile(r"medbot\.[a-z]+\.[a-z]+\.[a-z]+\.v[1-9]")


@pytest.mark.parametrize("event", EVENTS)
def test_a_topic_says_who_what_and_which_version(event: type[events.Event]) -> None:
    assert TOPIC.fullmatch(event.topic)
    assert event.topic.split(".")[3].endswith("ed")


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_carries_ids_and_places_and_no_words(event: type[events.Event]) -> None:
    for name, field in event.model_fields.items():
        assert field.annotation in {uuid.UUID, uuid.UUID | None, int, datetime}, name


def test_topics_are_distinct_and_queues_want_events_that_exist() -> None:
    assert len({event.topic for event in EVENTS}) == len(EVENTS)
    for wanted in events.SUBSCRIPTIONS.values():
        assert set(wanted) <= set(EVENTS)


def test_an_event_cannot_be_changed() -> None:
    event = events.UserRegistered(user_id=uuid.uuid4())
    with pytest.raises(ValidationError):
        event.user_id = uuid.uuid4()  # type: ignore[misc]  # what is tested


def test_an_envelope_survives_the_wire_and_a_newer_sender() -> None:
    event = events.UserRegistered(user_id=uuid.uuid4())
    envelope = events.Envelope(
        id=uuid.uuid4(),
        type=event.topic,
        source="auth-service",
        subject=event.key,
        time=datetime(2030, 1, 1, tzinfo=UTC),
        data=event.model_dump(mode="json"),
    )
    wire = envelope.model_dump(mode="json") | {"extension": "of a newer sender"}
    assert events.Envelope.model_validate(wire) == envelope
    assert events.UserRegistered.model_validate(envelope.data | {"added": 1}) == event
