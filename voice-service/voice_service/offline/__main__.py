"""Builds the model ahead of its first use, as an image does: `python -m voice_service.offline`."""

import asyncio

from kit import settings
from voice_service.agent.settings import Speaking
from voice_service.offline import opening

if __name__ == "__main__":
    asyncio.run(opening.built(settings.load(Speaking)))
