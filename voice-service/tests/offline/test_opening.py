"""The model is built in the background, once for what it comes from."""

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from voice_service.offline import model, opening


@pytest.mark.long
async def test_it_is_built_at_the_first_start_and_kept(library: Path, tmp_path: Path) -> None:
    settings = SimpleNamespace(library_dir=library, data_dir=tmp_path)
    async with opening.open_offline(settings) as offline:
        assert not offline.ready
        async with offline.tts() as speaks:
            frame = await speaks.synthesize("I am getting ready.").collect()
        assert frame.duration > 0.5
        async with asyncio.timeout(400):
            await offline.wait_ready()
    built = opening.folder_of(settings)
    made = (built / model.MAIN).stat().st_mtime_ns
    async with opening.open_offline(settings) as offline, asyncio.timeout(30):
        await offline.wait_ready()

    assert (built / model.MAIN).stat().st_mtime_ns == made
    assert [entry.name for entry in built.parent.iterdir()] == [built.name]


def test_other_cards_make_another_model(library: Path, tmp_path: Path) -> None:
    copy = tmp_path / "library"
    shutil.copytree(library, copy)
    before = opening.folder_of(SimpleNamespace(library_dir=copy, data_dir=tmp_path))
    card = copy / "fever.md"
    card.write_text(card.read_text() + "\nA further line.\n")
    after = opening.folder_of(SimpleNamespace(library_dir=copy, data_dir=tmp_path))

    assert before == opening.folder_of(SimpleNamespace(library_dir=library, data_dir=tmp_path))
    assert before != after


async def test_a_build_that_is_given_up_leaves_nothing(library: Path, tmp_path: Path) -> None:
    settings = SimpleNamespace(library_dir=library, data_dir=tmp_path)
    with pytest.raises(TimeoutError):
        async with opening.open_offline(settings) as offline, asyncio.timeout(1.0):
            await offline.wait_ready()

    assert not opening.folder_of(settings).exists()
