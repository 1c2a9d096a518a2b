"""Whether the time of an answer tells that an e-mail address has an account.

    python bench/sign_in.py [--tries 1000] [--seed 7] [--call /login]

The auth service runs on a socket of the loopback over an embedded PostgreSQL, with confirmation of
addresses on. Each try has an address and a client of its own; known and unknown ones are mixed at
random. Prints medians, the probability that a known address takes longer, and its bound.
"""

import argparse
import asyncio
import shutil
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import httpx

from auth_service import timing
from auth_service.providers import passwords
from auth_service.testing import Auth, make_app
from kit import embedded
from kit.database import utc_now
from kit.testing.serving import serve


async def main(folder: Path, tries: int, seed: int, paths: list[str]) -> None:
    """Runs every comparison and prints a row each."""
    print("| call | p50 known, ms | p50 unknown, ms | P(known slower) | 4 standard errors | gap |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(embedded.open_embedded(folder))
        owner = await asyncpg.connect(urls.owner)
        stack.push_async_callback(owner.close)
        plain = await _open(stack, urls.service)
        await plain.register()
        auth = await _open(stack, urls.service, email_confirmation=True)
        for path in paths:
            await timing.compare(auth, path, await timing.make_known(owner, 20), seed=seed)
            known = await timing.make_known(owner, tries)
            _print(path, await timing.compare(auth, path, known, seed=seed))


async def _open(stack: AsyncExitStack, url: str, **settings: object) -> Auth:
    app = make_app(url, utc_now, hasher=passwords.HASHER, **settings)
    served = await stack.enter_async_context(serve(app))
    http = httpx.AsyncClient(base_url=served.url, timeout=30)
    return Auth(app, await stack.enter_async_context(http))


def _print(path: str, times: timing.Times) -> None:
    known, unknown = (statistics.median(side) * 1000 for side in (times.known, times.unknown))
    print(
        f"| `{path}` | {known:.2f} | {unknown:.2f} | {times.larger:.3f} | ± {4 * times.error:.3f} |"
        f" {times.gap:.3f} |",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--call", action="append", choices=list(timing.CALLS))
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="medbot-bench-"))
    folder.chmod(0o755)  # the embedded server has a user of its own
    try:
        asyncio.run(main(folder, given.tries, given.seed, given.call or list(timing.CALLS)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
