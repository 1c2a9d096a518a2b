"""How the command line speaks: one line a step with its time, one line an error."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import typer
import uvloop
from rich.console import Console

from kit.errors import DomainError, Misconfigured

T = TypeVar("T")

out = Console(highlight=False, markup=False)
err = Console(stderr=True, highlight=False, markup=False)


def console(*, plain: bool) -> Console:
    """Where an answer goes; without colours when `plain`, or when it is no terminal."""
    return Console(highlight=False, markup=False, color_system=None) if plain else out


class Failed(Exception):
    """A command cannot do what it was asked; the message is one line."""


class Step:
    """A step on its way; `said` stands beside its name when it is done."""

    said = ""


@contextmanager
def step(name: str, *, clock: Callable[[], float] = time.perf_counter) -> Iterator[Step]:
    """Shows that `name` is being done, and then how long it took."""
    started, done = clock(), Step()
    with out.status(name):
        yield done
    took = f"{clock() - started:.1f} s"
    out.print("✓ ", style="green", end="")
    out.print(f"{name:<14}{done.said:<46} {took:>6}".rstrip(), soft_wrap=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What the person at the terminal can mend ends the command in one line, with status 1."""
    try:
        yield
    except (Misconfigured, DomainError, Failed) as error:
        fail(" ".join(str(error).split()))


def fail(reason: str) -> NoReturn:
    """Ends the command."""
    err.print("medbot: ", style="red", end="")
    err.print(reason, soft_wrap=True)
    raise typer.Exit(1)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` in a loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
