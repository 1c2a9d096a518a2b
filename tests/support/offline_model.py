"""The model of offline voice for whole installations, built once for this tree."""

import fcntl
from pathlib import Path

from voice_service.offline import building, opening
from voice_service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NAME = "offline-voice"


def put_into(data_dir: Path) -> None:
    """Has the installation find it built already."""
    kept = ROOT / ".medbot" / NAME
    kept.mkdir(parents=True, exist_ok=True)
    settings = Settings.model_construct(data_dir=kept.parent, library_dir=ROOT / "library")
    folder = opening.folder_of(settings)
    with (kept.parent / f"{NAME}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # processes of one run want it at the same time
        if not folder.is_dir():
            building.build(ROOT / "library", folder)
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / NAME).symlink_to(kept)
