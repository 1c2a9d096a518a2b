"""A built model, shared by all tests of a run."""

from pathlib import Path

import pytest

from kit import settings
from voice_service.offline import building


@pytest.fixture(scope="session")
def library() -> Path:
    """The cards that ship."""
    return settings.home() / "library"


@pytest.fixture(scope="session")
def model_folder(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once; a second process that builds it too leaves the first one's."""
    folder = tmp_path_factory.getbasetemp().parent / "offline-model" / "model"
    if not folder.is_dir():
        building.build(library, folder)
    return folder
