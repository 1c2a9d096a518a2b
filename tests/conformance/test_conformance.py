"""The voice sockets keep to `docs/voice-protocol.md`, through the gateway.

Another server is looked at by `pytest tests/conformance --url ws://… --token …`.
"""

import pytest

from medbot.conformance import CHECKS, Check, Server


@pytest.mark.journey
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
async def test_the_protocol(server: Server, check: Check) -> None:
    await check(server)
