"""The voices of offline speech, by the names that a session may give."""

from collections.abc import Mapping

DEFAULT = "en-us"

VOICES: Mapping[str, str] = {
    "en-us": "en-us",
    "en-gb": "en",
    "en-gb-scotland": "en-gb-scotland",
    "en-gb-x-rp": "en-gb-x-rp",
    "en-029": "en-029",
    **{name: f"en-us+{name}" for name in ("f1", "f2", "f3", "f4", "f5")},
    **{name: f"en-us+{name}" for name in ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")},
}
"""What espeak-ng calls each: the accents of English, and women and men with the first of them."""
