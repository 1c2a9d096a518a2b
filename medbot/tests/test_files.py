"""Files that are made from the code, and the names of the environment."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from kit import settings
from medbot import documents, environment, generated, schema, services
from medbot.terminal import Failed

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., Result]


def test_the_schema_is_the_same_each_time_and_holds_the_policies() -> None:
    made = schema.generate()
    assert made == schema.generate()
    assert "CREATE TABLE public.conversations" in made
    assert "CREATE POLICY" in made
    assert "restrict" not in made.replace("RESTRICT", "")
    assert "Dumped" not in made


def test_each_service_has_a_document_and_the_gateway_their_union() -> None:
    made = {path.relative_to(settings.home()): text for path, text in documents.generate().items()}
    auth = json.loads(made[Path("auth-service/openapi.json")])
    conversation = json.loads(made[Path("conversation-service/openapi.json")])
    union = json.loads(made[Path("api-gateway/api_gateway/openapi.json")])
    assert "/api/v1/auth/register" in auth["paths"].keys() & union["paths"].keys()
    assert "/api/v1/conversations" in conversation["paths"].keys() & union["paths"].keys()
    assert not [path for path in union["paths"] if path.startswith("/internal")]


def test_a_check_names_what_differs_and_the_command_that_mends_it(tmp_path: Path) -> None:
    made = {tmp_path / "same": "one\n", tmp_path / "other": "two\n", tmp_path / "gone": "three\n"}
    generated.write(made)
    generated.check(made, "medbot things")
    (tmp_path / "other").write_text("changed\n")
    (tmp_path / "gone").unlink()
    with pytest.raises(Failed) as refused:
        generated.check(made, "medbot things")
    assert "other" in str(refused.value)
    assert "gone" in str(refused.value)
    assert "same" not in str(refused.value)
    assert "`medbot things`" in str(refused.value)


def test_the_example_names_what_is_read_and_nothing_else() -> None:
    text = (ROOT / ".env.example").read_text()
    named = re.findall(r"^(?:# )?([A-Z_]+)=", text, re.MULTILINE)
    assert sorted(named) == sorted(environment.read_here())


def test_a_name_that_is_read_here_is_not_listed_as_read_by_nothing() -> None:
    assert environment.ELSEWHERE & environment.read_here() == set()


def test_the_example_can_be_used_as_it_stands(
    medbot: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / ".env.example").read_text()
    lines = re.sub(r"^# (?=[A-Z_]+=)", "", text, flags=re.MULTILINE)
    (project / ".env.local").write_text(lines)
    for one in environment.classes():
        assert settings.load(one).data_dir == project / ".medbot"


def test_copying_the_environment_reaches_every_service_and_nothing_else(tmp_path: Path) -> None:
    shutil.copy(ROOT / "copy_env.py", tmp_path)
    folders = sorted(service.folder for service in services.IN_ORDER)
    for name in (*folders, "medbot"):
        (tmp_path / name / name.replace("-", "_")).mkdir(parents=True)
        (tmp_path / name / "pyproject.toml").touch()
        (tmp_path / name / name.replace("-", "_") / "main.py").touch()
    (tmp_path / "tests").mkdir()

    command = [sys.executable, "copy_env.py"]
    missing = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert missing.stderr.startswith("There is no ")

    (tmp_path / ".env.local").write_text("PORT=9000\n")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"copied to {name}/.env.local" for name in folders]
    assert not (tmp_path / "medbot" / ".env.local").exists(), "nothing reads it there"
    assert (tmp_path / "voice-service" / ".env.local").read_text() == "PORT=9000\n"
