"""espeak-ng's library: text to sound, and text to phonemes.

The library keeps one state for the whole process and may be called from one thread at a time;
`Voice` guards it with a lock and speaks one text after the other.
"""

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import espeakng_loader

RATE_HZ = 22_050
_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples come to the callback
_DO_NOT_EXIT = 1 << 15
_UTF8 = 1
_END_PAUSE = 0x1000
_WORD, _END = 1, 0
_SPEED, _PITCH, _RANGE, _WORD_GAP = 1, 3, 4, 7
_IPA = 2
_BUFFER_MS = 60


class Unspeakable(RuntimeError):
    """espeak-ng's library cannot be used."""


@dataclass(frozen=True)
class WordStart:
    """A word of the text, from `start` to `end` in characters, begins at `seconds`."""

    start: int
    end: int
    seconds: float


@dataclass(frozen=True)
class Sound:
    """A piece of 16-bit PCM, mono, at `RATE_HZ`, and the words that begin in it or before."""

    pcm: bytes
    words: tuple[WordStart, ...]


class _Number(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Number),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Voice:
    """One loaded library. Get it by `voice()`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._take: Callable[[Sound], bool] | None = None
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data, _DO_NOT_EXIT)
        if rate != RATE_HZ:
            raise Unspeakable(f"espeak-ng's library answered {rate} when it was opened")
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._callback = _CALLBACK(self._heard)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(
        self, text: str, take: Callable[[Sound], bool], *, name: str, speed: int, pitch: int
    ) -> None:
        """Hands the sound of `text` to `take`, piece by piece, until that answers False.

        `name` is a voice of espeak-ng such as `en-us`, `speed` in words a minute, `pitch` 0-99.
        Blocks; to be called in a thread.
        """
        said = text.encode()
        with self._lock:
            self._set(name, speed, pitch)
            self._take = take
            try:
                self._library.espeak_Synth(
                    said, len(said) + 1, 0, 1, 0, _UTF8 | _END_PAUSE, None, None
                )
            finally:
                self._take = None

    def phonemes(self, word: str, *, name: str = "en-us") -> str:
        """The word in the International Phonetic Alphabet, stresses marked."""
        with self._lock:
            self._set(name, 160, 50)
            pointer = ctypes.c_char_p(word.encode())
            found = self._library.espeak_TextToPhonemes(ctypes.byref(pointer), _UTF8, _IPA)
        return (found or b"").decode()

    def _set(self, name: str, speed: int, pitch: int) -> None:
        if self._library.espeak_SetVoiceByName(name.encode()):
            raise Unspeakable(f"espeak-ng has no voice {name!r}")
        for parameter, value in ((_SPEED, speed), (_PITCH, pitch), (_RANGE, 45), (_WORD_GAP, 1)):
            self._library.espeak_SetParameter(parameter, value, 0)

    def _heard(self, samples: object, count: int, events: object) -> int:
        take = self._take
        if take is None or not isinstance(events, ctypes._Pointer):
            return 1
        words = []
        for index in range(10_000):
            event = events[index]
            if event.type == _END:
                break
            if event.type == _WORD:
                start = event.text_position - 1
                words.append(WordStart(start, start + event.length, event.audio_position / 1000))
        pcm = ctypes.string_at(samples, count * 2) if samples and count else b""  # type: ignore[arg-type]
        return 0 if take(Sound(pcm, tuple(words))) else 1


@cache
def voice() -> Voice:
    """The library, loaded once a process. Raises `Unspeakable`."""
    try:
        return Voice()
    except OSError as error:
        raise Unspeakable("espeak-ng's library cannot be loaded") from error
