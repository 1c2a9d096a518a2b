"""`medbot`: the commands. Each imports what it needs when it runs, so that `--help` is quick."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from kit import logs, settings
from kit.identity import Role
from medbot import administering, terminal
from medbot.administering import users
from medbot.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
library = typer.Typer(no_args_is_help=True, help="The medical library and its index.")
app.add_typer(library, name="library")
app.add_typer(users, name="users")
app.add_typer(administering.audit, name="audit")
app.add_typer(administering.keys, name="keys")
app.add_typer(administering.events, name="events")
app.command()(administering.retention)
app.command()(administering.usage)

Check = Annotated[bool, typer.Option("--check", help="Only compare; status 1 when it differs.")]
Plain = Annotated[bool, typer.Option("--plain", help="No colours.")]


@app.callback()
def medbot() -> None:
    """The medical assistant on one machine."""
    logs.configure(json_lines=False, keep_pii=False, level="ERROR")


@app.command()
def up(
    port: Annotated[
        int | None, typer.Option(help="The gateway's; the services take the next ones. [PORT]")
    ] = None,
    host: Annotated[str, typer.Option(help="Where the gateway listens.")] = "127.0.0.1",
) -> None:
    """Starts everything: the database unless DATABASE_URL names one, and every service."""
    from medbot import up as together

    with terminal.one_line_errors():
        chosen = settings.load(Settings)
        try:
            terminal.run(together.up(chosen, host=host, port=port or chosen.port))
        except asyncio.CancelledError:
            terminal.fail("stopped at once")


@app.command()
def serve(
    service: str,
    host: Annotated[str, typer.Option(help="`::` listens on IPv6 and IPv4.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="The service's own unless given.")] = None,
    drain: Annotated[
        float | None, typer.Option(help="Seconds that open answers have. [DRAIN_SECONDS]")
    ] = None,
) -> None:
    """Runs one service alone, as containers do."""
    from medbot import serve as alone

    with terminal.one_line_errors():
        alone.serve(service, host=host, port=port, drain=drain)


@app.command()
def health(port: Annotated[int, typer.Argument(min=1, max=65535)] = 8000) -> None:
    """Says whether a service on this machine lives."""
    from medbot import health as asked

    if said := asked.wrong(port):
        terminal.fail(said)


@app.command()
def migrate() -> None:
    """Brings the database to the newest schema and provides the services' login."""
    from medbot import migrating

    with terminal.one_line_errors():
        applied = terminal.run(migrating.migrate(settings.load(Settings)))
        for name in applied:
            terminal.out.print(f"applied {name}")
        terminal.out.print("The database is up to date.")


@app.command()
def schema(check: Check = False) -> None:
    """Writes database/schema.sql from the migrations."""
    from medbot import generated
    from medbot import schema as schema_file

    with terminal.one_line_errors():
        made = {schema_file.path(): schema_file.generate()}
        generated.check(made, "medbot schema") if check else generated.write(made)


@app.command()
def openapi(check: Check = False) -> None:
    """Writes the OpenAPI documents, and the schemas of the voice sockets' messages."""
    from medbot import documents, generated

    with terminal.one_line_errors():
        made = documents.generate()
        generated.check(made, "medbot openapi") if check else generated.write(made)


@app.command()
def ask(question: str, plain: Plain = False) -> None:
    """Answers a question in the terminal, with its sources."""
    from conversation_service.settings import Settings as Service
    from medbot import talking

    with terminal.one_line_errors():
        console = terminal.console(plain=plain)
        terminal.run(talking.ask(settings.load(Service), question, console))


@app.command()
def talk(
    url: Annotated[str, typer.Option(help="The gateway's address.")] = "http://localhost:8000",
    token: Annotated[
        str | None, typer.Option(help="An access token; the demo account without one.")
    ] = None,
    guest: Annotated[bool, typer.Option("--guest", help="Call without any account.")] = False,
    conversation: Annotated[
        str | None, typer.Option(help="The id of a conversation to go on with.")
    ] = None,
    wav: Annotated[
        Path | None, typer.Option(help="A recording to speak instead of the microphone.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Where to write the replies, as MP3.")] = None,
    conformance: Annotated[
        bool, typer.Option("--conformance", help="See whether the server keeps to the protocol.")
    ] = False,
    plain: Plain = False,
) -> None:
    """Calls over /ws/voice: speaks, and prints what both sides said."""
    from medbot import conformance as checks
    from medbot import talk as calls

    with terminal.one_line_errors():
        console = terminal.console(plain=plain)
        if token is None and not guest:
            data_dir = settings.load(Settings).data_dir
            token = terminal.run(calls.demo_token(url, data_dir))
        if conformance:
            if not terminal.run(checks.report(url, token, wav, console)):
                raise typer.Exit(1)
            return
        wanted = calls.Wanted(url, token, conversation, wav, save)
        try:
            terminal.run(calls.talk(wanted, console))
        except KeyboardInterrupt:
            console.print()


@app.command()
def answers(check: Check = False) -> None:
    """Writes docs/answers.md: what library mode says to the questions in docs/questions.txt."""
    from conversation_service.settings import Settings as Service
    from medbot import answers as answers_file
    from medbot import generated

    with terminal.one_line_errors():
        made = {answers_file.path(): answers_file.generate(settings.load(Service))}
        generated.check(made, "medbot answers") if check else generated.write(made)


@app.command()
def doctor(
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Also ask whom others run: mail, models, speech, traces."),
    ] = False,
) -> None:
    """Looks at every setting and dependency; one line each, with the remedy."""
    from medbot.doctor import examine

    if not terminal.run(examine.report(probe=probe)):
        raise typer.Exit(1)


@library.command("build")
def library_build() -> None:
    """Builds the index unless it is up to date."""
    from conversation_service.settings import Settings as Service
    from medbot import shelf

    with terminal.one_line_errors():
        shelf.build(settings.load(Service), terminal.out)


@library.command("search")
def library_search(query: str, k: Annotated[int, typer.Option("-k", min=1, max=50)] = 5) -> None:
    """Shows the passages that are nearest to a question, with their scores."""
    from conversation_service.settings import Settings as Service
    from medbot import shelf

    with terminal.one_line_errors():
        shelf.search(shelf.open_library(settings.load(Service)), query, k, terminal.out)


@library.command("stats")
def library_stats() -> None:
    """Shows how much is in the library."""
    from conversation_service.settings import Settings as Service
    from medbot import shelf

    with terminal.one_line_errors():
        shelf.stats(shelf.open_library(settings.load(Service)), terminal.out)


@users.command("create")
def users_create(
    email: str,
    role: Annotated[list[Role] | None, typer.Option(help="Beside patient; repeatable.")] = None,
    name: Annotated[str | None, typer.Option(help="The person's full name.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line.")
    ] = False,
) -> None:
    """Makes an account."""
    from auth_service.settings import Settings as Service
    from medbot import people

    with terminal.one_line_errors():
        chosen = settings.load(Service)
        password = people.ask_password(from_stdin=password_stdin)
        made = terminal.run(people.create(chosen, email, password, name=name, roles=role or []))
        terminal.out.print(f"{made.email} {', '.join(made.roles)} {made.id}", soft_wrap=True)


@users.command("role")
def users_role(email: str, roles: list[Role]) -> None:
    """Gives an account exactly these roles."""
    from auth_service.settings import Settings as Service
    from medbot import people

    with terminal.one_line_errors():
        now = terminal.run(people.give_roles(settings.load(Service), email, roles))
        terminal.out.print(f"{now.email} {', '.join(now.roles)}", soft_wrap=True)
