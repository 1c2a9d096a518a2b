"""What a caller writes in place of speaking: the gate reads it as it comes, and it is answered in
its turn."""

import asyncio

import structlog

from contracts.voice import MAX_SPOKEN
from voice_service.agent import phrases
from voice_service.agent.conversation import Conversation
from voice_service.agent.pace import Pace

_log = structlog.stdlib.get_logger(__name__)


class Writing:
    """One session's."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation, self._pace = conversation, Pace()
        self._told_too_fast = False
        self.speaks = False
        """Whether the session speaks: it has started, and does not end."""

    async def say(self, text: str) -> bool:
        """Has a message answered once its turn has come; one that is longer than `MAX_SPOKEN` is
        refused aloud. An alarm waits for no turn. False where too many wait: it is not taken,
        which the caller hears once."""
        text = text.strip()
        if not text:
            return True
        if not self._pace.waiting:
            self._told_too_fast = False
        taken = self._alarmed(text) or self._pace.put(text)
        if not taken and self.speaks and not self._told_too_fast:
            self._told_too_fast = True
            _log.warning("session.typed_too_fast")
            self._conversation.talk.say(phrases.TOO_FAST, protected=True)
        await asyncio.sleep(0)  # the gate takes a while, and there are other sessions
        return taken

    def _alarmed(self, text: str) -> bool:
        if not self.speaks or len(text) > MAX_SPOKEN:
            return False
        try:
            return self._conversation.alarmed(text, self._pace.waiting)
        except RuntimeError:  # livekit has begun to close: there is nobody to alarm
            return False

    async def answer(self) -> None:
        """Answers each in its turn, until cancelled or the session closes."""
        while True:
            text = await self._pace.next()
            try:
                if len(text) > MAX_SPOKEN:
                    self._conversation.talk.say(phrases.TOO_MUCH)
                else:
                    self._conversation.typed(text)
            except RuntimeError:  # livekit has begun to close, and tells why once it has
                return

    def keep(self) -> None:
        """Records what waits and will not be answered."""
        for text in self._pace.waiting:
            if len(text) <= MAX_SPOKEN:
                self._conversation.unanswered(text)
