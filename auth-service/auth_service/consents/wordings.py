"""The wordings of the consents: `texts/<name>/<version>.<locale>.md`, kept for ever.

A changed wording is a new file with a later version; the old one stays, since rows name it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from auth_service.consents.models import UnknownConsent, Wording

FOLDER = Path(__file__).resolve().parent / "texts"
FALLBACK = "en"


@dataclass(frozen=True, slots=True)
class Wordings:
    """All wordings; those of the latest version of each name are asked."""

    all: tuple[Wording, ...]

    @property
    def names(self) -> frozenset[str]:
        """What may be consented to."""
        return frozenset(wording.name for wording in self.all)

    def current(self, name: str, locale: str | None) -> Wording:
        """The latest version in this language, in English where there is none.

        Raises:
            UnknownConsent: nobody is asked for it.
        """
        named = [wording for wording in self.all if wording.name == name]
        if not named:
            raise UnknownConsent
        latest = max(wording.version for wording in named)
        language = (locale or FALLBACK).partition("-")[0]
        by_locale = {each.locale: each for each in named if each.version == latest}
        return by_locale.get(locale or FALLBACK) or by_locale.get(language) or by_locale[FALLBACK]

    def asked(self, locale: str | None) -> list[Wording]:
        """The current wording of every name."""
        return [self.current(name, locale) for name in sorted(self.names)]


def load(folder: Path = FOLDER) -> Wordings:
    """Reads the files.

    Raises:
        ValueError: a name has no English wording of its latest version.
    """
    found = Wordings(tuple(_read(sorted(folder.glob("*/*.md")))))
    for name in found.names:
        versions = {each.version: set[str]() for each in found.all if each.name == name}
        for each in found.all:
            if each.name == name:
                versions[each.version].add(each.locale)
        if FALLBACK not in versions[max(versions)]:
            raise ValueError(f"the latest wording of {name} is not there in {FALLBACK}")
    return found


def _read(files: Iterable[Path]) -> Iterable[Wording]:
    for file in files:
        version, _, locale = file.stem.partition(".")
        yield Wording(
            name=file.parent.name, version=version, locale=locale, text=file.read_text().strip()
        )
