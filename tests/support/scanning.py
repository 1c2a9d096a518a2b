"""Looks for words wherever an installation keeps anything: in every table and every file."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import asyncpg

_SYSTEM = ("pg_catalog", "information_schema", "pg_toast")
_TABLES = (
    "select n.nspname as schema, c.relname as name from pg_class c"
    " join pg_namespace n on n.oid = c.relnamespace"
    " where c.relkind in ('r', 'p', 'm') and n.nspname <> all($1::text[])"
    " and n.nspname not like 'pg_temp%' order by 1, 2"
)


def forms(needle: str) -> list[str]:
    """A word as it may be written: as it is, or in hex where a column holds bytes."""
    found = [needle, needle.encode().hex()]
    with suppress(ValueError):
        found.append(UUID(needle).hex)
    return found


async def tables(owner_url: str, needles: Iterable[str]) -> dict[str, int]:
    """Table → how many of its rows hold one of `needles` in any column, in upper or lower case."""
    patterns = [f"%{form}%" for needle in needles for form in forms(needle)]
    connection = await asyncpg.connect(owner_url)
    try:
        found: dict[str, int] = {}
        for table in await connection.fetch(_TABLES, list(_SYSTEM)):
            name = f'"{table["schema"]}"."{table["name"]}"'
            count = await connection.fetchval(
                f"select count(*) from {name} t where t::text ilike any($1::text[])", patterns
            )
            if count:
                found[name] = count
        return found
    finally:
        await connection.close()


def files(
    folder: Path, needles: Iterable[str], *, but: Iterable[Path] = ()
) -> dict[str, list[str]]:
    """File → the needles in it; folders of `but` are left out."""
    wanted = [(needle, form.lower().encode()) for needle in needles for form in forms(needle)]
    left_out = [path.resolve() for path in but]
    found: dict[str, list[str]] = {}
    for path in _every(folder.resolve(), left_out):
        content = path.read_bytes().lower()
        if hits := sorted({needle for needle, form in wanted if form in content}):
            found[str(path.relative_to(folder.resolve()))] = hits
    return found


def _every(folder: Path, left_out: list[Path]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path in left_out or path.is_symlink():
            continue
        if path.is_dir():
            yield from _every(path, left_out)
        elif path.is_file():
            yield path
