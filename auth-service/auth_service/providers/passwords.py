"""Passwords as argon2id hashes, made in a few threads so that the event loop never waits."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import argon2

from kit.errors import ServiceUnavailable

THREADS = 4
MOST_WAITING = 256
HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=32 * 1024, parallelism=1)

T = TypeVar("T")


class Passwords:
    """Hashes and compares; at most `THREADS` at once, beyond `most_waiting` it declines."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        nobody: str,
        hasher: argon2.PasswordHasher,
        *,
        most_waiting: int,
    ) -> None:
        self._pool = pool
        self._hasher = hasher
        self._most_waiting = most_waiting
        self._nobody = nobody
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The hash to keep, with its own salt and parameters in it."""
        return await self._run(lambda: self._hasher.hash(password))

    async def match(self, kept: str | None, password: str) -> bool:
        """Whether `password` is what `kept` was made of; without one the same work, and False."""
        matches = await self._run(lambda: self._matches(kept or self._nobody, password))
        return matches and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether `kept` was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(kept)

    def _matches(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except argon2.exceptions.VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most_waiting:
            raise ServiceUnavailable("Too many people are signing in right now.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


@asynccontextmanager
async def open_passwords(
    hasher: argon2.PasswordHasher = HASHER, *, most_waiting: int = MOST_WAITING
) -> AsyncIterator[Passwords]:
    """Opens the threads."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="passwords") as pool:
        invented = secrets.token_urlsafe(24)
        nobody = await asyncio.get_running_loop().run_in_executor(pool, hasher.hash, invented)
        yield Passwords(pool, nobody, hasher, most_waiting=most_waiting)
