"""Callers without an agent are counted, whether none came or theirs died."""

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from room_sessions import NOBODY_CAME, room_session

from kit.database import Database
from kit.identity import Actor
from kit.testing import Watch
from telemetry import Telemetry
from telemetry.metrics import counting as whose
from telemetry.service import here
from voice_service.rooms.media import open_media
from voice_service.sessions import counting
from voice_service.sessions.reaper import Limits, Reaper
from voice_service.settings import Settings

LIMITS = Limits(lost=8.0, agent=30.0)
MISSED = ("medbot_voice_agents_missed_total", ())
Seen = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def voice() -> Iterator[Telemetry]:
    """The voice service, on whose behalf the test runs."""
    before = whose.get(), here.get()
    made = Telemetry("voice")
    made.enter()
    yield made
    whose.set(before[0])
    here.set(before[1])


async def seen(voice: Telemetry) -> Seen:
    page = (await voice.page()).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("medbot_voice_")
    }


def failed(agent: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return ("medbot_voice_sessions_ended_total", (("agent", agent), ("reason", "failed")))


async def test_whom_no_agent_came_to_is_counted_each_time(
    database: Database, person: Actor, voice: Telemetry
) -> None:
    settings = Settings(
        livekit_url="http://127.0.0.1:9",
        livekit_api_key="medbot",
        livekit_api_secret=SecretStr("s" * 40),
    )
    for _ in range(3):
        await room_session(database, person, NOBODY_CAME)
    assert (await seen(voice))[MISSED] == 0
    async with open_media(settings) as media:
        await Reaper(database, media, LIMITS).sweep()
    assert (await seen(voice))[MISSED] == 3


async def test_a_failed_call_is_counted_by_whether_an_agent_came(
    database: Database, person: Actor, voice: Telemetry
) -> None:
    watch = Watch()
    reaper = Reaper(database, None, LIMITS, monotonic=watch)
    counting.look_at(database)
    before = await seen(voice)
    assert [before[failed(agent)] for agent in ("none", "came")] == [0, 0]
    long_ago = "clock_timestamp() - interval '1 minute'"
    await room_session(database, person, f"holder = 'job-1', heartbeat_at = {long_ago}")
    await room_session(database, person, f"joined_at = {long_ago}")
    await reaper.sweep()
    watch.now += LIMITS.lost + 0.1
    await reaper.sweep()
    after = await seen(voice)
    assert [after[failed(agent)] for agent in ("none", "came")] == [1, 1]
