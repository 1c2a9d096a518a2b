"""What must be found of a conversation afterwards, from what its people saw and heard."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from callers import FILLED, Line, Talker
from conversing import Person


@dataclass
class Truth:
    """One conversation, as it went. `loose` are places of `lines` where an answer was being spoken
    when its agent was killed or its network was cut: what is kept of it is a beginning, or, where
    the agent died, nothing."""

    person: Person
    conversation_id: str
    lines: list[Line] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    loose: dict[int, bool] = field(default_factory=dict)
    """Place, and whether it may be missing."""

    @property
    def path(self) -> str:
        return f"/api/v1/conversations/{self.conversation_id}"

    async def write(self, words: str) -> str:
        """A message in writing; what it was answered."""
        sent = await self.person.send(self.path, words)
        assert sent.status_code == 201, sent.text
        reply: str = sent.json()["assistant_message"]["content"]
        self._add(Line("user", words), "chat")
        self._add(Line("assistant", reply), "chat")
        return reply

    def spoken(self, talker: Talker) -> None:
        """All that was said in a call."""
        for line in talker.lines:
            if line.text in FILLED:
                continue
            if self.lines and line.role == "user" and self.lines[-1].role == "user":
                self.lines[-1] = Line("user", f"{self.lines[-1].text} {line.text}")
            else:
                self._add(line, talker.channel)

    def broke_off(self, talker: Talker, *, may_be_missing: bool) -> None:
        """The call ended in the middle of an answer."""
        self.loose[len(self.lines)] = may_be_missing
        self._add(Line("assistant", "", cut=True), talker.channel)

    async def holds(self) -> None:
        """The messages are exactly these: none lost, none twice, in order."""
        wanted = len(self.lines) - sum(self.loose.values())
        messages = await messages_of(self.person, self.path, wanted)
        await asyncio.sleep(0.3)  # one too many would come by now
        messages = await told(self.person, self.path)
        rest = list(messages)
        for place, (line, channel) in enumerate(zip(self.lines, self.channels, strict=True)):
            if place in self.loose:
                if rest and rest[0]["role"] == "assistant" and rest[0]["channel"] == channel:
                    assert rest.pop(0)["status"] == "interrupted", (self.lines, messages)
                else:
                    assert self.loose[place], ("what was heard is missing", self.lines, messages)
                continue
            assert rest, ("missing", line, shown(messages))
            found = rest.pop(0)
            kept = (found["role"], found["content"], found["channel"])
            assert kept == (line.role, line.text, channel), (self.lines, shown(messages))
        assert rest == [], ("more than was said", self.lines, shown(messages))

    def _add(self, line: Line, channel: str) -> None:
        self.lines.append(line)
        self.channels.append(channel)


async def told(person: Person, path: str) -> list[dict[str, Any]]:
    """The messages, but for what only passes the time, as far as it was heard."""
    return [one for one in await person.messages(path) if one["content"] not in FILLED]


async def messages_of(person: Person, path: str, count: int) -> list[dict[str, Any]]:
    """The same, once there are so many, or what there is after a while."""
    items: list[dict[str, Any]] = []
    for _ in range(100):
        items = await told(person, path)
        if len(items) >= count:
            break
        await asyncio.sleep(0.1)
    return items


def shown(messages: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """For the message of a failed test."""
    return [(one["role"], one["content"], one["channel"], one["status"]) for one in messages]
