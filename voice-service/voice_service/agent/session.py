"""One way to build a session, for a room and for a socket."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from livekit.agents import AgentSession, inference, vad
from livekit.agents.voice import io, room_io
from livekit.agents.voice.room_io.types import TextInputCallback
from livekit.agents.voice.turn import EndpointingOptions, TurnHandlingOptions

from voice_service.agent.hearing import Hearing
from voice_service.agent.ports import Transport
from voice_service.agent.settings import Speaking
from voice_service.agent.speaker import SAMPLE_RATE, Replying, Sounding

FALSE_INTERRUPTION = 1.2
"""Seconds without words after which an interrupted sentence goes on."""
INTERRUPTS_AFTER = 0.4
"""Seconds of speech that stop the agent."""
PATIENT = EndpointingOptions(mode="fixed", min_delay=1.6, max_delay=3.5)
"""While numbers, names, dates or addresses are being given."""


@dataclass(frozen=True, slots=True)
class Built:
    """A session that is ready to start, and how to start it."""

    session: AgentSession[None]
    room_options: room_io.RoomOptions | None
    usual: EndpointingOptions
    heard: Callable[[], str]
    """The words that were heard so far of what is being said."""


class Witness(Protocol):
    """Who is told what a room is shown."""

    def shown(self, word: str) -> None:
        """One more word of what is being said."""

    def all_shown(self) -> None:
        """There are no more of it."""


class _Words(io.TextOutput):
    """The words of what is being said, as they are heard in a room."""

    def __init__(self, witness: Witness) -> None:
        super().__init__(label="heard", next_in_chain=None)
        self._words, self._over, self._witness = "", False, witness

    async def capture_text(self, text: str) -> None:
        """One more."""
        if self._over:
            self._words, self._over = "", False
        self._words += text
        self._witness.shown(text)

    def flush(self) -> None:
        """That was all."""
        self._over = True
        self._witness.all_shown()

    def heard(self) -> str:
        """Nothing once it is over."""
        return "" if self._over else self._words


def build_session(
    settings: Speaking,
    transport: Transport,
    *,
    hearing: Hearing,
    detector: vad.VAD,
    witness: Witness,
    on_typed: TextInputCallback | None = None,
) -> Built:
    """A session whose turns are taken here: nothing of it listens or decides in a cloud.

    The end of a turn is found by the local model, or by silence alone where
    `voice_turn_detection` is `vad`. `witness` is told of each word that a room is shown.
    """
    usual = EndpointingOptions(
        mode="fixed",
        min_delay=settings.voice_endpointing_min,
        max_delay=max(settings.voice_endpointing_min, settings.voice_endpointing_max),
    )
    session: AgentSession[None] = AgentSession(
        stt=hearing,
        vad=detector,
        llm=Replying(),
        tts=Sounding(),
        turn_handling=TurnHandlingOptions(
            turn_detection="vad"
            if settings.voice_turn_detection == "vad"
            else inference.TurnDetector(version="v1-mini"),
            endpointing=usual,
            interruption={
                "enabled": True,
                "mode": "vad",
                "min_duration": INTERRUPTS_AFTER,
                "discard_audio_if_uninterruptible": False,
                "resume_false_interruption": True,
                "false_interruption_timeout": FALSE_INTERRUPTION,
            },
            preemptive_generation={"enabled": False},
        ),
        aec_warmup_duration=None,
        user_away_timeout=None,
        use_tts_aligned_transcript=True,
        tts_text_transforms=None,
        session_close_transcript_timeout=0.5,
    )
    if transport.room is None:
        session.input.audio = transport.audio_in
        session.output.audio = transport.audio_out
        session.output.transcription = transport.text_out
        return Built(session, None, usual, transport.heard)
    words = _Words(witness)
    options = room_io.RoomOptions(
        audio_input=room_io.AudioInputOptions(sample_rate=SAMPLE_RATE, frame_size_ms=20),
        audio_output=room_io.AudioOutputOptions(sample_rate=SAMPLE_RATE),
        text_output=room_io.TextOutputOptions(sync_transcription=True, next_in_chain=words),
        text_input=room_io.TextInputOptions(text_input_cb=on_typed) if on_typed else True,
        video_input=False,
    )
    return Built(session, options, usual, words.heard)
