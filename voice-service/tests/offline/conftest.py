"""A built model, shared by all tests of a run."""

from pathlib import Path

import pytest

from kit import settings
from voice_service.offline import building, corpora


@pytest.fixture(scope="session")
def library() -> Path:
    """The cards that ship."""
    return settings.home() / "library"


@pytest.fixture(scope="session")
def model_folder(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once for what it comes from; a second process leaves the first one's."""
    mark = corpora.fingerprint(library)
    folder = tmp_path_factory.getbasetemp().parent / "offline-model" / mark
    if not folder.is_dir():
        building.build(library, folder)
    return folder
