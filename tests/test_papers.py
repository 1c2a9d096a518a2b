"""The papers say what is so: paths, commands, settings, routes and error codes are the code's."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from medbot.main import app

ROOT = Path(__file__).resolve().parents[1]
PAPERS = sorted([*ROOT.glob("*.md"), *ROOT.glob("bench/*.md"), *ROOT.glob("docs/*.md")])
NAMES = [paper.relative_to(ROOT).as_posix() for paper in PAPERS]

MADE_LATER = {".medbot", ".venv", ".env.local", "logs"}
"""What stands in papers and comes only by running things."""

KEPT = r"\.(?:py|md|sql|ya?ml|toml|json|txt)"
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
ENV_NAME = re.compile(r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)(?==|\Z)")
HEADING = re.compile(r"^#+ `(GET|POST|PUT|PATCH|DELETE) (\S+)`$", re.MULTILINE)
ERROR_ROW = re.compile(r"^\| [0-9x, ]+ \| `([a-z_.]+)` \|", re.MULTILINE)


@cache
def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def spans(name: str) -> list[str]:
    """What stands between backticks in running text and tables."""
    return SPAN.findall(FENCE.sub("", read(name)))


def code(name: str) -> list[str]:
    """Spans, and the lines of code blocks; a line that ends with a backslash goes on."""
    blocks = "\n".join(FENCE.findall(read(name))).replace("\\\n", " ")
    return [*spans(name), *blocks.splitlines()]


@cache
def kept() -> frozenset[str]:
    """Every file and folder of the project, from its root."""
    found: set[str] = set()
    for top in ROOT.iterdir():
        if top.name.startswith(".") and top.name not in {".ci", ".env.example", ".gitignore"}:
            continue
        inside = top.rglob("*") if top.is_dir() else ()
        found |= {path.relative_to(ROOT).as_posix() for path in (top, *inside)}
    return frozenset(found)


def paths(name: str) -> Iterator[str]:
    """Spans that name a file or a folder of the project."""
    for span in spans(name):
        first = span.split("/")[0]
        folder = "/" in span and ((ROOT / first).is_dir() or span.endswith("/"))
        looks = re.fullmatch(r"[\w.*-]+(?:/[\w.*-]+)*/?", span) and not span.startswith("../")
        if looks and first not in MADE_LATER and (folder or re.search(rf"{KEPT}\Z", span)):
            yield span.rstrip("/")


def exists(path: str, paper: Path) -> bool:
    """Whether the path is there from the root or beside the paper, or ends one that is."""
    if "*" in path:
        return any(ROOT.glob(path))
    near = (paper.parent / path).resolve()
    return near.exists() or any(known == path or known.endswith(f"/{path}") for known in kept())


def anchors(paper: Path) -> set[str]:
    """The anchors that a reader's browser makes of the headings."""
    titles = re.findall(r"^#+ (.+)$", paper.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    paper = ROOT / name
    for target, anchor in LINK.findall(FENCE.sub("", read(name))):
        aim = (paper.parent / target).resolve() if target else paper
        assert aim.exists(), target
        assert not anchor or anchor in anchors(aim), f"{target}#{anchor}"


@pytest.mark.parametrize("name", NAMES)
def test_every_path_that_is_named_exists(name: str) -> None:
    assert [path for path in paths(name) if not exists(path, ROOT / name)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    named = [part for line in code(name) for part in re.findall(r"\bmake ((?:[a-z]+ ?)+)", line)]
    assert {target for part in named for target in part.split()} <= targets


@pytest.mark.parametrize("name", NAMES)
def test_every_medbot_command_exists_with_its_options(name: str) -> None:
    for line in code(name):
        for said in re.findall(r"(?:^|[ /])medbot ((?:[a-z]+ ?)+.*)", line):
            check_command(said)


def check_command(said: str) -> None:
    """Follows the words through the groups to a command, which must know the options."""
    command = typer.main.get_command(app)
    words = re.sub(r'"[^"]*"', "", said).split()
    while isinstance(command, TyperGroup) and words:
        assert words[0] in command.commands, said
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known, said


def test_the_readme_and_the_example_name_the_same_settings() -> None:
    example = set(re.findall(r"^(?:# )?([A-Z_]+)=", read(".env.example"), re.MULTILINE))
    shell = {part for block in FENCE.findall(read("README.md"))
             for part in re.findall(r"^([A-Z_]+)=\S* .*\bmake", block, re.MULTILINE)}  # fmt: skip
    named = {name for span in spans("README.md") for name in ENV_NAME.findall(span)}
    table = {name for row in re.findall(r"^\| (`[A-Z].*?) \|", read("README.md"), re.MULTILINE)
             for name in SPAN.findall(row)}  # fmt: skip
    assert table == example
    assert (named | shell) - example <= {"LISTEN"}  # a statement of PostgreSQL


def test_who_takes_over_a_row_with_a_key_takes_the_address_that_it_is_for() -> None:
    """A key without an address is OpenAI's, and so are then the words of patients."""
    rows = re.findall(r"^\| `local-ai` .*$", read("DEPLOYMENT.md"), re.MULTILINE)
    keyed = [row for row in rows if "`OPENAI_API_KEY=" in row]
    assert keyed
    assert all("`OPENAI_BASE_URL=http://ollama:11434/v1`" in row for row in keyed)


def test_every_route_stands_in_the_interface_and_no_other() -> None:
    union = json.loads(read("api-gateway/api_gateway/openapi.json"))
    served = {(method.upper(), path) for path, item in union["paths"].items() for method in item}
    described = HEADING.findall(read("API_DOCUMENTATION.md"))
    assert len(described) == len(set(described))
    assert set(described) == served


def codes() -> set[str]:
    """Every error code in the packages: of classes, and those that `serving.problems` makes."""
    found: set[str] = set()
    for folder in (
        "api-gateway",
        "auth-service",
        "conversation-service",
        "voice-service",
        "libs/kit",
        "libs/privacy",
        "libs/serving",
        "libs/telemetry",
        "libs/tokens",
        "libs/assistant",
    ):
        for path in (ROOT / folder).rglob("*.py"):
            if not {"tests", "testing", "testing.py"} & set(path.parts):
                found |= set(_class_codes(path))
    problems = read("libs/serving/serving/problems.py")
    return found | set(re.findall(r'(?:\d{3}[:,]|status,) "([a-z_.]+)"', problems))


def _class_codes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ClassDef):
            continue
        for line in node.body:
            targets = line.targets if isinstance(line, ast.Assign) else []
            targets = [line.target] if isinstance(line, ast.AnnAssign) else targets
            named = any(isinstance(each, ast.Name) and each.id == "code" for each in targets)
            value = line.value if isinstance(line, ast.Assign | ast.AnnAssign) else None
            if named and isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def test_every_error_code_stands_in_the_table_and_no_other() -> None:
    table = ERROR_ROW.findall(read("API_DOCUMENTATION.md"))
    assert len(table) == len(set(table))
    assert set(table) == codes()


def test_every_code_that_is_spoken_of_is_in_the_table() -> None:
    table = set(ERROR_ROW.findall(read("API_DOCUMENTATION.md")))
    families = {known.split(".")[0] for known in table if "." in known}
    spoken = {span for span in spans("API_DOCUMENTATION.md")
              if re.fullmatch(rf"(?:{'|'.join(families)})\.[a-z_]+", span)}  # fmt: skip
    events = {"conversation.changed", "conversation.deleted", "voice.session"}
    assert spoken - events <= table
