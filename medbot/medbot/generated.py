"""Files that are made from the code and checked in."""

from collections.abc import Mapping
from pathlib import Path

from kit import settings
from medbot.terminal import Failed, out


def write(files: Mapping[Path, str]) -> None:
    """Writes those that differ, and names them."""
    for path in outdated(files):
        path.write_text(files[path], encoding="utf-8")
        out.print(f"wrote {_short(path)}", soft_wrap=True)


def check(files: Mapping[Path, str], command: str) -> None:
    """Raises Failed when one is not what `command` makes now."""
    if differ := outdated(files):
        named = ", ".join(_short(path) for path in differ)
        raise Failed(f"{named}: not what `{command}` makes now; run it and commit the result")


def outdated(files: Mapping[Path, str]) -> list[Path]:
    """Those whose text is another, or that are missing."""
    return [path for path, text in files.items() if not _same(path, text)]


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _short(path: Path) -> str:
    home = settings.home()
    return str(path.relative_to(home) if path.is_relative_to(home) else path)
