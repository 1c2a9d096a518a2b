"""The order of turns, and what is recorded of those that are not over."""

import asyncio
from datetime import UTC, datetime, timedelta

from structlog.testing import capture_logs
from talking import Desk

from contracts.voice import SpokenTurn
from voice_service.agent.ledger import Ledger, Said

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def kept(turns: list[SpokenTurn]) -> list[tuple[int, str, str]]:
    return [(turn.seq, turn.role, turn.text) for turn in turns]


async def recorded(ledger: Ledger) -> None:
    ledger.close(at(100))
    await ledger.run()


async def test_what_was_said_so_far_is_recorded_and_then_the_whole() -> None:
    desk = Desk()
    ledger = Ledger(desk, next_seq=3, told=lambda _: None)
    said = ledger.begin(Said("assistant", at(0)))
    running = asyncio.create_task(ledger.run())
    for text in ("", "One", "One", "One two"):
        said.text = text
        ledger.keep(at(1))
        await asyncio.sleep(0)
    said.text = "One two three."
    ledger.settle(said, at(2))
    ledger.close(at(2))
    await running
    assert kept(desk.open) == [(3, "assistant", "One"), (3, "assistant", "One two")]
    assert kept(desk.turns) == [(3, "assistant", "One two three.")]


async def test_only_the_newest_waits_for_a_service_that_is_away() -> None:
    desk = Desk()
    ledger = Ledger(desk, next_seq=1, told=lambda _: None)
    said = ledger.begin(Said("assistant", at(0)))
    for text in ("One", "One two", "One two three"):
        said.text = text
        ledger.keep(at(1))
    await recorded(ledger)
    assert desk.open == []
    assert kept(desk.turns) == [(1, "assistant", "One two three")]


async def test_words_that_were_recorded_hold() -> None:
    desk = Desk()
    ledger = Ledger(desk, next_seq=1, told=lambda _: None)
    said = ledger.begin(Said("assistant", at(5), text="One"))
    ledger.keep(at(6))
    earlier = ledger.begin(Said("user", at(4), text="Stop"))
    ledger.settle(earlier, at(7))
    said.text = ""
    ledger.settle(said, at(7))
    await recorded(ledger)
    assert kept(desk.turns) == [(1, "assistant", "One"), (2, "user", "Stop")]


async def test_turns_are_in_the_order_in_which_they_were_shown() -> None:
    desk, shown = Desk(), list[SpokenTurn]()
    ledger = Ledger(desk, next_seq=1, told=shown.append)
    answer = ledger.begin(Said("assistant", at(5), text="One"))
    earlier = ledger.begin(Said("user", at(4), text="Stop"))
    ledger.settle(earlier, at(7))
    assert shown == []
    ledger.settle(answer, at(7))
    await recorded(ledger)
    assert kept(desk.turns) == [(1, "assistant", "One"), (2, "user", "Stop")]
    assert shown == desk.turns


class _Faulty(Desk):
    """Fails with the first turn, as nobody expected."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def record(self, turn: SpokenTurn) -> None:
        self.asked += 1
        if self.asked == 1:
            raise ZeroDivisionError("I have a headache")
        await super().record(turn)


async def test_a_link_that_fails_loses_no_turn_and_what_was_said_is_not_logged() -> None:
    desk = _Faulty()
    ledger = Ledger(desk, next_seq=1, told=lambda _: None)
    for place, text in enumerate(("One", "Two")):
        ledger.settle(ledger.begin(Said("user", at(place), text=text)), at(place))
    with capture_logs() as logged:
        await recorded(ledger)
    assert kept(desk.turns) == [(1, "user", "One"), (2, "user", "Two")]
    assert ledger.recorded == 2
    assert [line["error_type"] for line in logged] == ["ZeroDivisionError"]
    assert "headache" not in str(logged)
