"""What keeps failing is left alone, tried now and then, and taken back."""

import pytest

from kit.circuit import Circuit
from kit.testing import Watch


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def circuit(watch: Watch) -> Circuit:
    return Circuit("x", failures=3, pause=10, clock=watch)


def opened(circuit: Circuit) -> None:
    for _ in range(3):
        assert circuit.admits()
        circuit.failed()


def test_it_opens_after_failures_in_a_row(circuit: Circuit) -> None:
    for _ in range(2):
        circuit.failed()
    circuit.answered()
    opened(circuit)
    assert circuit.open
    assert circuit.wait == 10
    assert not circuit.admits()


def test_one_attempt_a_pause_finds_out(circuit: Circuit, watch: Watch) -> None:
    opened(circuit)
    watch.now += 10
    assert circuit.admits()
    assert not circuit.admits(), "one finds out"
    watch.now += 8
    circuit.failed()
    watch.now += 9
    assert not circuit.admits(), "the pause begins with the failure"
    watch.now += 1
    assert circuit.admits()
    circuit.answered()
    assert not circuit.open
    assert circuit.admits()
    assert circuit.admits()


def test_an_attempt_that_tells_nothing_is_followed_by_another(
    circuit: Circuit, watch: Watch
) -> None:
    opened(circuit)
    for _ in range(3):
        watch.now += 10
        assert circuit.admits()


def test_what_was_asked_before_does_not_put_the_attempt_off(circuit: Circuit, watch: Watch) -> None:
    opened(circuit)
    watch.now += 9
    circuit.failed()
    watch.now += 1
    assert circuit.admits()
