"""A question asked in the terminal, answered in this process as the conversation service would."""

import anyio.to_thread
from rich.console import Console
from rich.panel import Panel
from rich.text import Text as Words

from assistant import reply, safety
from assistant.turns import Citation, Text
from conversation_service.context import open_assistant
from conversation_service.settings import Settings
from medbot.terminal import Failed

COLOURS = {"emergency": "bold red", "crisis": "bold red", "urgent": "yellow", "routine": "cyan"}


async def ask(settings: Settings, question: str, console: Console) -> None:
    """Prints what the gate says first, then the answer as it comes, then its sources.

    Raises:
        Failed: a model broke off in the middle of its answer.
    """
    async with open_assistant(settings) as assistant:
        assessed = await anyio.to_thread.run_sync(safety.assess, question)
        if assessed.message:
            _print_triage(assessed, console)
        cited: list[Citation] = []
        try:
            async for piece in assistant.reply(question, (), level=assessed.level):
                if isinstance(piece, Citation):
                    cited.append(piece)
                elif isinstance(piece, Text):
                    console.print(piece.text, end="", soft_wrap=True)
        except reply.ReplyFailed as failed:
            console.print()
            raise Failed("the model broke off; `medbot doctor --probe` looks why") from failed
    console.print()
    _print_sources(cited, console)


def _print_triage(assessed: safety.Assessment, console: Console) -> None:
    lines = [assessed.message or ""]
    lines += [f"{one.name}: {one.number}" for one in assessed.resources]
    colour = COLOURS[assessed.level]
    console.print(Panel(Words("\n".join(lines)), title=assessed.level, style=colour))


def _print_sources(cited: list[Citation], console: Console) -> None:
    named: dict[str, str] = {}
    for citation in cited:
        source = f"{citation.title}: {citation.source}. {citation.url}"
        named[source] = f"{named.get(source, '')}[{citation.marker}]"
    for source, markers in named.items():
        console.print(f"{markers} {source}", style="dim", soft_wrap=True)
