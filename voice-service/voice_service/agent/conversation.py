"""What is said in a session: the caller's words through the gate, the agent's words as heard."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime

from livekit.agents import AgentSession, StopResponse
from livekit.agents.llm import ChatMessage
from livekit.agents.voice.turn import EndpointingOptions

from assistant.safety import Assessment, Level
from assistant.turns import Turn
from contracts.voice import SpokenTurn
from voice_service.agent import doubts, gate, listening, phrases
from voice_service.agent.hearing import Stretch
from voice_service.agent.ledger import Ledger, Said
from voice_service.agent.parts import Heard, Question
from voice_service.agent.pipelines import Pipes
from voice_service.agent.ports import Audience, Transcript
from voice_service.agent.rhythm import TAKES_LONG, TOO_QUIET
from voice_service.agent.session import PATIENT, Built
from voice_service.agent.utterances import Utterances

SHORT = 0.5
"""Seconds of speech below which it may be a noise."""
LET_GO_AFTER = 1.0
"""Seconds beyond the longest that the session waits for the end of a turn, after which it gives
none."""
DEAF_AGAIN = 10.0
"""Seconds after which it is said again that nobody hears."""
REMEMBERED = 40
"""Turns that an answer is given to look back on."""


class Conversation:
    """One session's; it is the listener of its hearing and the host of its agent."""

    def __init__(
        self,
        history: list[Turn],
        *,
        gate: gate.Gate,
        ledger: Ledger,
        pipes: Pipes,
        show: Audience,
        deaf: Callable[[], str] = lambda: phrases.CANNOT_HEAR,
    ) -> None:
        """`deaf` is what to say to somebody whom nobody can hear."""
        self.history = history
        self._gate, self._ledger, self._show = gate, ledger, show
        self._answers, self._rhythm, self._fillers = pipes.answers, pipes.rhythm, pipes.fillers
        self.talk = Utterances(ledger=ledger, pipes=pipes)
        self._deaf, self._told_deaf = deaf, -DEAF_AGAIN
        self._session: AgentSession[None] | None = None
        self._usual: EndpointingOptions = {}
        self._waits: EndpointingOptions = {}
        self._handed_on = 0.0
        self._taken_up = ""
        self._question: Question | None = None
        self._user: Said | None = None
        self._answered: dict[float, str] = {}
        """Words that are still coming and that the gate has answered, by when they began."""
        self._coming: set[float] = set()
        """When those stretches of speech began of which words are shown that are not found yet."""
        self._doubts = doubts.Doubts()
        self._over_agent: dict[float, bool] = {}
        self._waiting: dict[float, asyncio.TimerHandle] = {}
        self._fills = True
        self._asked_again = False
        self.user_speaking = False
        self.heard_since = False
        """Whether the caller said something since this was last cleared."""

    def attach(self, built: Built) -> None:
        """The session that speaks and listens for it; before it starts."""
        self._session, self._usual = built.session, built.usual
        self.talk.attach(built.session, built.heard, in_room=built.room_options is not None)

    def keep(self) -> None:
        """Records what was said so far of turns that are not over."""
        self.talk.note_heard()
        self._ledger.keep(_now())

    # The caller

    def speech_began(self, stretch: Stretch) -> None:
        """Remembers whether it is over the agent's words."""
        self.user_speaking, self.talk.stirred = True, time.monotonic()
        self._over_agent[stretch.began] = self.talk.speaking

    def speech_ended(self, stretch: Stretch) -> None:
        """Says something when the words take too long to be found."""
        self.user_speaking, self.talk.stirred = False, time.monotonic()
        self.talk.asked = stretch.ended
        self._rhythm.caller(time.time() - stretch.ended)
        if stretch.ended - stretch.began >= SHORT and not self._over_agent.get(stretch.began):
            self._fillers.restart()
            self._fill_later(stretch, TAKES_LONG - (time.time() - stretch.ended))

    def partly(self, text: str, stretch: Stretch) -> None:
        """Shows words that are coming, and passes them through the gate."""
        so_far = self._so_far(text)
        said = self._open(stretch)
        self._coming.add(stretch.began)
        self._show(Transcript("user", so_far, final=False, at=_at(stretch.began)))
        verdict = self._gate.partly(so_far)
        triage = gate.triage(verdict) if verdict is not None else said.triage
        again = verdict is not None and bool(self._answered)
        if triage != said.triage or again or stretch.began in self._answered:
            self._answered[stretch.began] = text
        said.triage = triage
        if verdict is not None:
            self._say_at_once(verdict)

    def heard(self, heard: Heard, stretch: Stretch) -> bool:
        """Takes the words, unless they only say that somebody listens."""
        answered = self._found(stretch)
        over = self._over_agent.pop(stretch.began, False)
        if over and listening.backchannel(heard.text) and not self._asking():
            self._let_go(stretch, answered)
            return False
        self._asked_again, self.heard_since, self._taken_up = False, True, ""
        said = self._open(stretch)
        said.text = self._so_far(heard.text)
        self._doubts.heard(heard)
        self._show(Transcript("user", said.text, final=False, at=_at(stretch.began)))
        verdict = self._gate.whole(said.text)
        said.triage = gate.triage(verdict)  # who hangs up over the alarm ends no turn
        self._say_at_once(verdict)
        if self._session is not None:
            middle = listening.in_the_middle(heard.text, self._last_said())
            self._waits = PATIENT if middle else self._usual
            self._session.update_options(endpointing_opts=self._waits)
        self.keep()  # they are about to be shown
        return True

    async def ready(self) -> None:
        """Waits until no protected speech is in the way of words."""
        await self.talk.unprotected.wait()
        self._handed_on = time.time()
        self._coming.clear()  # a transcript that is final takes the place of whatever was shown

    def unheard(self, stretch: Stretch) -> None:
        """Asks again after a longer stretch without words, once."""
        over = self._over_agent.get(stretch.began, False)
        if self._without_words(stretch):
            return
        long = stretch.ended - stretch.began >= 2 * SHORT
        if long and not over and not self._asked_again and self._user is None:
            self._asked_again = True
            self.talk.say(phrases.NOT_CAUGHT)

    def deaf(self, stretch: Stretch) -> None:
        """Says so, whatever it was: somebody in danger must know that nobody hears."""
        if self._without_words(stretch) or time.monotonic() - self._told_deaf < DEAF_AGAIN:
            return
        self._told_deaf = time.monotonic()
        if stretch.ended - stretch.began >= SHORT:
            self.talk.interrupt()
        self.talk.say(self._deaf(), protected=True)

    def _without_words(self, stretch: Stretch) -> bool:
        """No words were found; answers whether the gate has answered those that were coming."""
        answered = self._found(stretch)
        self._over_agent.pop(stretch.began, False)
        self._let_go(stretch, answered)
        return bool(answered)

    async def turn_completed(self, message: ChatMessage) -> None:
        """The caller's turn is over: it is recorded, and becomes the question. One that was taken
        up before is answered anew: the session has cut off its answer."""
        text = (message.text_content or "").strip()
        if not text:
            raise StopResponse
        if self._user is None and text in self._taken_up:
            return
        self.talk.end_delay = (message.metrics or {}).get("end_of_turn_delay") or 0.0
        said = self._user or self._ledger.begin(Said("user", _now()))
        said.text, more = _parted(said.text, text)
        if not self._over(said, more):
            raise StopResponse

    def take_up(self) -> None:
        """Answers words for which the session gives no turn: where that was over while speech went
        on that is not barged over, it lets them go."""
        said, handed_on = self._user, max(self._handed_on, self.talk.asked)
        late = time.time() - handed_on - LET_GO_AFTER > self._waits.get("max_delay", 0.0)
        if said is None or not said.text or not late or self.busy():
            return
        assert self._session is not None
        self._taken_up = said.text
        if self._over(said, ""):
            self._session.generate_reply(user_input=said.text)

    def _over(self, said: Said, more: str) -> bool:
        """The caller's turn is over; answers whether it is to be answered. `more` was heard since.

        Words that are not sure are asked about.
        """
        verdict = self._take(said, self._doubts.meant(said.text))
        self._next(more)
        if (asked := self._doubts.question(said.text, verdict.level)) is not None:
            self.talk.say(asked)
        return asked is None

    async def last_words(self, within: float) -> None:
        """Waits for words that are still being found."""
        for _ in range(round(within / 0.05)):
            if not self._over_agent:
                return
            await asyncio.sleep(0.05)

    def fill_no_more(self) -> None:
        """From now on nothing is said to pass the time."""
        self._fills = False
        for timer in self._waiting.values():
            timer.cancel()

    def hear_no_more(self) -> None:
        """No words are found any more: those that the gate has answered stand for them."""
        for began in sorted(self._answered):
            self._stand_in(Stretch(began), self._answered.pop(began))

    def alarmed(self, text: str, waiting: Sequence[str]) -> bool:
        """Takes a turn in writing before it is due where it raises an alarm, be it with those that
        are `waiting`; answers whether."""
        before = [Turn("user", each) for each in waiting]
        if not self._say_at_once(self._gate.whole(text, before)):
            return False
        self.typed(text, before)
        return True

    def unanswered(self, text: str) -> None:
        """Records a turn in writing that nobody is there to answer any more."""
        said = self._ledger.begin(Said("user", _now(), text=text))
        said.triage = gate.triage(self._gate.whole(text))
        self._ledger.settle(said, _now())

    def typed(self, text: str, before: Sequence[Turn] = ()) -> None:
        """The caller's turn came in writing; `before` was written before it and waits."""
        assert self._session is not None
        self.talk.interrupt()
        said = self._ledger.begin(Said("user", _now(), text=text))
        self.heard_since, self.talk.stirred = True, time.monotonic()
        self.talk.asked = time.time()
        self._take(said, self._doubts.written(text), before)
        self._session.generate_reply(user_input=text)

    def _take(self, said: Said, meant: str, before: Sequence[Turn] = ()) -> Assessment:
        """The turn is over, and `meant` is what is to be answered: the more pressing of what the
        gate says of that and of the turn's own words counts."""
        verdicts = [self._gate.whole(words, before) for words in (meant, said.text)]
        verdict = min(verdicts, key=lambda each: each.level.rank)
        self._say_at_once(verdict)
        if verdict.level is Level.URGENT and (advice := self._gate.news(verdict)) is not None:
            self.talk.owed = advice
        self._question = Question(meant, tuple(self.history[-REMEMBERED:]), verdict.level.value)
        said.triage = gate.triage(verdict)
        self._ledger.settle(said, _at(max(self.talk.asked, said.started_at.timestamp())))
        return verdict

    def _next(self, more: str) -> None:
        """After the caller's turn; what is shown already of the next comes before any answer."""
        self._user = None
        if more or self._coming:
            began = min(self._coming, default=self.talk.asked)
            self._user = self._ledger.begin(Said("user", _at(began), text=more))
            self._user.triage = gate.triage(self._gate.whole(more))

    def _open(self, stretch: Stretch) -> Said:
        if self._user is None:
            self._user = self._ledger.begin(Said("user", _at(stretch.began)))
        return self._user

    def _let_go(self, stretch: Stretch, answered: str) -> None:
        """No words were found: those that the gate has `answered` stand for them, and a turn that
        has no others is over."""
        alone = self._user is None or not self._user.text
        if answered:
            self._stand_in(stretch, answered)
        if self._user is not None and alone and (answered or not self._coming):
            user, self._user = self._user, None
            self._ledger.settle(user, _at(stretch.ended))

    def _stand_in(self, stretch: Stretch, words: str) -> None:
        said = self._open(stretch)
        said.text = self._so_far(words)
        said.triage = gate.triage(self._gate.whole(said.text)) or said.triage

    def _so_far(self, text: str) -> str:
        return f"{self._user.text} {text}".strip() if self._user is not None else text

    def _found(self, stretch: Stretch) -> str:
        """Nothing more is coming of it; answers its words that the gate has answered."""
        self._coming.discard(stretch.began)
        timer = self._waiting.pop(stretch.began, None)
        if timer is not None:
            timer.cancel()
        return self._answered.pop(stretch.began, "")

    def _fill_later(self, stretch: Stretch, seconds: float) -> None:
        if not self._fills:
            return
        loop = asyncio.get_running_loop()
        self._waiting[stretch.began] = loop.call_later(max(0.05, seconds), self._fill, stretch)

    def _fill(self, stretch: Stretch) -> None:
        if not self.user_speaking and not self.talk.live:
            self._open(stretch)  # what it waits for was said before it
            filler = self._fillers.take()
            self.talk.say(filler, audio=filler.sound, protected=True, remember=False)
        self._fill_later(stretch, TOO_QUIET + max(0.0, -self._rhythm.silent_for()))

    # The agent

    async def reply(self, text: str) -> AsyncGenerator[str]:
        """The words of the answer; citations and usage go to the turn's record."""
        question = self._question or Question(text, tuple(self.history[-REMEMBERED:]), "none")
        known = self.talk.of_reply()
        if self.talk.owed and question.level not in gate.AT_ONCE:
            known.advice = self.talk.owed
            yield known.advice + " "
        if self._doubts.said_back:
            yield self._doubts.said_back + " "
            self._doubts.said_back = ""
        async for word in self._answers.reply(question):
            if (said := known.note(word)) is not None:
                yield said

    def note(self, turn: Turn) -> None:
        """A message that came in writing from elsewhere."""
        self.history.append(turn)
        self._answers.note(turn)

    def told(self, turn: SpokenTurn) -> None:
        """A turn got its number."""
        self.history.append(Turn(turn.role, turn.text))
        self._show(Transcript(turn.role, turn.text, final=True, at=turn.ended_at, seq=turn.seq))

    def busy(self) -> bool:
        """Whether something is said, or about to be."""
        return self.talk.live or bool(self._waiting) or self.user_speaking

    def _say_at_once(self, verdict: Assessment) -> bool:
        message = self._gate.news(verdict) if verdict.level in gate.AT_ONCE else None
        if message is not None:
            self.talk.interrupt()
            self.talk.say(message, protected=True)
            self.talk.owed = ""  # this is more pressing
        return message is not None

    def _last_said(self) -> str:
        return next((t.content for t in reversed(self.history) if t.role == "assistant"), "")

    def _asking(self) -> bool:
        """Whether the agent has a question open, so that "okay" is an answer."""
        return not self.talk.speaking and self._last_said().rstrip().endswith("?")


def _parted(heard: str, text: str) -> tuple[str, str]:
    """What was heard up to the end of `text`, for which there is a turn, and what comes after it.

    The session gives no turn for words that are followed by speech which is not barged over: they
    stand before `text`, and are part of it.
    """
    place = heard.find(text)
    if place < 0:
        return text, ""
    end = place + len(text)
    return heard[:end], heard[end:].strip()


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _now() -> datetime:
    return datetime.now(UTC)
