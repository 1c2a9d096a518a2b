"""A question in the terminal, and what the library holds."""

from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from medbot.testing import plain

Command = Callable[..., Result]


def test_an_answer_ends_with_the_sources_that_its_markers_name(medbot: Command) -> None:
    done = medbot("ask", "I have had a headache for three days. What can I do?")
    assert done.exit_code == 0, done.output
    answer, _, sources = done.output.rpartition("\n[1]")
    assert "[1]" in answer
    assert "Headache" in sources
    assert "https://" in sources


def test_danger_comes_before_the_answer(medbot: Command) -> None:
    done = medbot("ask", "--plain", "crushing pain in my chest, and my left arm hurts")
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    said = plain(done.output)
    assert said.index("emergency") < said.index("999") < said.index("[1]")


def test_where_the_gate_has_nothing_to_say_the_answer_comes_first(medbot: Command) -> None:
    done = medbot("ask", "--plain", "I have had a headache for three days. What can I do?")
    assert done.exit_code == 0, done.output
    assert "╭" not in done.output
    assert "Headache: NHS" in plain(done.output)


def test_the_library_is_searched_with_scores_and_counted(medbot: Command, project: Path) -> None:
    cards = len(list((project / "library").glob("*.md")))
    built = medbot("library", "build")
    assert plain(built.output).startswith(f"{cards} cards, {cards} documents, ")

    found = medbot("library", "search", "sore throat", "-k", "2")
    scores = [line.split()[0] for line in found.output.splitlines() if line[:1].isdigit()]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert "Sore throat" in found.output


def test_a_library_without_words_for_it_says_so(medbot: Command) -> None:
    done = medbot("library", "search", "   ")
    assert done.exit_code == 1
    assert plain(done.output).strip() == "medbot: nothing in the library is near that"


def test_a_folder_that_is_not_there_is_named(medbot: Command, project: Path) -> None:
    (project / ".env.local").write_text("LIBRARY_DIR=no-such-folder\n")
    done = medbot("library", "stats")
    assert done.exit_code == 1
    assert f"LIBRARY_DIR: there is no folder {project}/no-such-folder" in plain(done.output)
