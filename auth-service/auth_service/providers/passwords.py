"""Passwords as argon2id hashes, made in a few threads so that the event loop never waits."""

import asyncio
import base64
import hmac
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
        hasher: argon2.PasswordHasher,
        *,
        secret: str,
        most_waiting: int,
    ) -> None:
        self._pool = pool
        self._hasher = hasher
        self._most_waiting = most_waiting
        self._secret = hmac.digest(secret.encode(), b"accounts that are none", "sha256")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The hash to keep, with its own salt and parameters in it."""
        return await self._run(lambda: self._hasher.hash(password))

    async def match(self, kept: str, password: str) -> bool:
        """Whether `password` is what `kept` was made of."""
        return await self._run(lambda: self._matches(kept, password))

    def stand_in(self, name: str) -> str:
        """What to compare a password with when nobody is called `name`: always the same for the
        same name, with a salt of its own as an account has, and matched by no password."""
        made = self._hasher
        drawn = hmac.digest(self._secret, name.encode("utf-8", "surrogatepass"), "sha512")
        parameters = f"m={made.memory_cost},t={made.time_cost},p={made.parallelism}"
        salt, digest = _plain64(drawn[: made.salt_len]), _plain64(drawn[-made.hash_len :])
        return f"$argon2id$v=19${parameters}${salt}${digest}"

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


def _plain64(drawn: bytes) -> str:
    return base64.b64encode(drawn).decode().rstrip("=")


@contextmanager
def open_passwords(
    secret: str, hasher: argon2.PasswordHasher = HASHER, *, most_waiting: int = MOST_WAITING
) -> Iterator[Passwords]:
    """Opens the threads; `secret` is what stand-ins are made with."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="passwords") as pool:
        yield Passwords(pool, hasher, secret=secret, most_waiting=most_waiting)
