"""Whole installations for journeys and faults; one of each kind serves all tests of a run."""

from collections.abc import Iterator

import pytest
from installation import LEASE, Installation, installed

from kit.testing.serving import free_port


@pytest.fixture(scope="session")
def _library_mode() -> Iterator[Installation]:
    with installed() as made:
        yield made


@pytest.fixture
def library_mode(_library_mode: Installation) -> Installation:
    """A running one without any model."""
    _library_mode.begin()
    return _library_mode


@pytest.fixture(scope="session")
def model_port() -> int:
    """Where `with_model` looks for its model; a test serves one there, or leaves it away."""
    return free_port()


@pytest.fixture(scope="session")
def _with_model(model_port: int) -> Iterator[Installation]:
    env = {
        "OPENAI_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
        "REPLY_LEASE_SECONDS": str(LEASE),
    }
    with installed(env) as made:
        yield made


@pytest.fixture
def with_model(_with_model: Installation) -> Installation:
    """A running one that asks a model, with a short lease; a test may kill it."""
    _with_model.begin()
    return _with_model
