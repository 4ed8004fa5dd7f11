"""Probes of the file system: whether a way leads to the host's files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from isolate.probe.model import InsideProbe, Outcome, Planted

if TYPE_CHECKING:
    from isolate.probe.model import Answer, Scene

_FILES = "isolate.probe.inside.files"


def plant_file(scene: Scene) -> str:
    """A file of the host that holds the token and that anybody may read; its path."""
    path = Path(scene.directory, "token")
    path.write_text(scene.token, encoding="ascii")
    path.chmod(0o644)
    path.parent.chmod(0o755)
    return str(path)


def found_token(scene: Scene, answer: Answer, tried: str) -> Outcome:
    """Reached where the answer has the token in it."""
    reached = scene.token in str(answer.value)
    return Outcome(reached=reached, evidence=f"{tried}: {'the token' if reached else answer}")


class Direct(InsideProbe):
    """Open the token by its path on the host."""

    meaning = "The program reads the host's files by their paths."
    remedy = "Give it a root of its own: any --rootfs but host."
    feature = "root"
    attempt = f"{_FILES}:read"

    def plant(self, scene: Scene) -> Planted:
        return Planted(path=plant_file(scene))

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return found_token(scene, answer, f"open {scene.directory}/token")
