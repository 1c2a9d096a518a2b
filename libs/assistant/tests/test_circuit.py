"""A model that keeps failing is left alone, so that nobody waits for it, and is taken back."""

import statistics
import time
from collections.abc import AsyncIterator

import openai
import pytest
from model_server import Cut, Hang, ModelServer, Refuse, Say, Step

from assistant.llm.chat import LEFT_ALONE, Chat, ProviderFailed
from assistant.llm.providers import Provider
from assistant.turns import Text
from kit.circuit import Circuit
from kit.testing import Watch, serve

MESSAGES = [{"role": "user", "content": "What helps?"}]


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def server() -> ModelServer:
    return ModelServer([])


@pytest.fixture
async def chat(server: ModelServer, watch: Watch) -> AsyncIterator[Chat]:
    async with serve(server.app()) as served, openai.DefaultAsyncHttpxClient() as http:
        provider = Provider("local", f"{served.url}/v1", "m", "k")
        circuit = Circuit("local", failures=3, pause=10, clock=watch)
        yield Chat(provider, http, first_token=0.2, circuit=circuit)


async def reason(chat: Chat, *, aside: bool = False) -> str:
    """What became of a question: the text, or why there is none."""
    said = ""
    try:
        async for piece in chat.stream(MESSAGES, [], aside=aside):
            said += piece.text if isinstance(piece, Text) else ""
    except ProviderFailed as failed:
        return failed.reason
    return said


@pytest.mark.parametrize(
    "script", [[Hang()], [Refuse(500)], [Refuse(429)], [Refuse(401)], [Say("Rest "), Cut()]]
)
async def test_a_provider_that_fails_is_not_asked_until_a_question_finds_out(
    chat: Chat, server: ModelServer, watch: Watch, script: list[Step]
) -> None:
    server.scripts[:] = [script, script, script, [Say("Rest.")]]
    for _ in range(3):
        assert await reason(chat) not in {LEFT_ALONE, "Rest."}
    tuned = chat.tuned(temperature=0.5, max_tokens=None)
    waited = []
    for _ in range(20):
        started = time.monotonic()
        assert await reason(tuned) == LEFT_ALONE
        waited.append(time.monotonic() - started)
    assert statistics.median(waited) < 0.01, "nobody waits for its deadline"
    assert len(server.requests) == 3
    watch.now += 10
    assert await reason(chat) == "Rest."
    assert await reason(chat) == "Rest."


@pytest.mark.parametrize("script", [[Refuse(400)], [Refuse(422)]])
async def test_what_a_question_itself_brings_about_counts_for_nothing(
    chat: Chat, server: ModelServer, script: list[Step]
) -> None:
    server.scripts[:] = [script] * 5 + [[Say("Rest.")]]
    for _ in range(5):
        assert await reason(chat) not in {LEFT_ALONE, "Rest."}
    assert await reason(chat) == "Rest."


async def test_asides_count_for_nothing_and_do_not_find_out(
    chat: Chat, server: ModelServer, watch: Watch
) -> None:
    server.scripts[:] = [[Refuse(500)]]
    for _ in range(5):
        assert await reason(chat, aside=True) == "InternalServerError"
    for _ in range(3):
        assert await reason(chat) == "InternalServerError"
    watch.now += 10
    assert await reason(chat, aside=True) == LEFT_ALONE
    server.scripts[:] = [[Say("Rest.")]]
    assert await reason(chat) == "Rest."
