"""Sound as bad microphones, lines and rooms make it; 16-bit PCM at 16 kHz, in and out."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
_FULL = 32_767

Samples = NDArray[np.float64]


def samples(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, dtype=np.int16).astype(np.float64)


def pcm(sound: Samples) -> bytes:
    """Cut off where it is too loud."""
    return bytes(np.clip(sound, -_FULL, _FULL).astype(np.int16).tobytes())


def narrow(said: bytes) -> bytes:
    """As a telephone line carries it: 8 kHz, from 300 to 3,400 Hz."""
    spectrum = np.fft.rfft(samples(said))
    hertz = np.fft.rfftfreq(len(said) // 2, 1 / RATE_HZ)
    spectrum[(hertz < 300) | (hertz > 3_400)] = 0
    return pcm(np.fft.irfft(spectrum, len(said) // 2))


def clipped(said: bytes) -> bytes:
    """Twenty times too loud."""
    return pcm(samples(said) * 20)


def quiet(said: bytes) -> bytes:
    """40 dB down."""
    return pcm(samples(said) / 100)


def shifted(said: bytes) -> bytes:
    """With a constant voltage of a fifth of the full scale."""
    return pcm(samples(said) + _FULL / 5)


ROUGH: Mapping[str, Callable[[bytes], bytes]] = {
    "8 kHz": narrow, "clipped": clipped, "40 dB down": quiet, "shifted": shifted,
}  # fmt: skip


def silence(seconds: float) -> bytes:
    return bytes(int(seconds * RATE_HZ) * 2)


def noise(seconds: float, seed: int, level: float = 2_000) -> bytes:
    """White noise."""
    return pcm(np.random.default_rng(seed).normal(0, level, int(seconds * RATE_HZ)))


def hum(seconds: float) -> bytes:
    """50 Hz and its harmonics."""
    at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return pcm(sum((1_500 / n * np.sin(2 * np.pi * 50 * n * at) for n in (1, 2, 3, 5)), 0 * at))


def music(seconds: float, seed: int) -> bytes:
    """Plucked chords over a beat."""
    drawn = np.random.default_rng(seed)
    whole = np.zeros(int(seconds * RATE_HZ))
    step = RATE_HZ // 4
    at = np.arange(step * 4) / RATE_HZ
    for start in range(0, len(whole) - len(at), step):
        for note in drawn.choice((0, 3, 5, 7, 10, 12, 15), 3, replace=False):
            pitch = 220 * 2 ** (note / 12)
            tones = sum((np.sin(2 * np.pi * pitch * n * at) / n for n in (1, 2, 3, 4)), 0 * at)
            whole[start : start + len(at)] += 1_500 * tones * np.exp(-3 * at)
        whole[start : start + 400] += drawn.normal(0, 4_000, 400)
    return pcm(whole)


NOTHING_SAID: Mapping[str, Callable[[int], bytes]] = {
    "silence": lambda _: silence(5), "noise": lambda seed: noise(5, seed),
    "faint noise": lambda seed: noise(5, seed, 20),
    "loud noise": lambda seed: noise(5, seed, 9_000),
    "hum": lambda _: hum(5), "music": lambda seed: music(5, seed),
}  # fmt: skip
