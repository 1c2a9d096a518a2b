#!/usr/bin/env python3
"""Copies `.env.local` of the root to each service's folder, for whoever runs them one by one."""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
NAME = ".env.local"


def main() -> int:
    """Answers the exit status."""
    source = ROOT / NAME
    if not source.is_file():
        sys.stderr.write(f"There is no {source}: copy .env.example to it and fill it in.\n")
        return 1
    for folder in (*ROOT.glob("*-gateway"), *sorted(ROOT.glob("*-service"))):
        shutil.copy(source, folder / NAME)
        sys.stdout.write(f"copied to {folder.name}/{NAME}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
