"""The files of a built model, and those that come with the recogniser."""

from pathlib import Path

import pocketsphinx

MAIN = "main.lm.bin"
SHORT = "short.lm.bin"
ALARMS = "alarms.lm.bin"
WORDS = "words.dict"
KEYPHRASES = "keyphrases.txt"
FEATURES = "feat.params"
ABOUT = "about.json"


def bundled(name: str) -> Path:
    """A file of the model that pocketsphinx ships."""
    return Path(pocketsphinx.__file__).parent / "model" / "en-us" / name
