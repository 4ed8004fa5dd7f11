"""The typing contract of the Python API, under strict mypy: what must and what must not pass."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_RIGHT = """
import isolate
from isolate import aio

result: isolate.Result = isolate.run(["true"], memory="64M", timeout=5, env={"A": "b"}, pids=3)
text: bytes = result.check().stdout
code: int | None = result.exit_code

async def later() -> isolate.Result:
    return await aio.run(["true"], cpus=0.5)
"""

_WRONG = {
    'isolate.run("true; false", memory=[])': "arg-type",
    'isolate.run(["true"], memroy="64M")': "call-arg",
    'isolate.run(["true"]).exitcode': "attr-defined",
    'result: str = isolate.run(["true"])': "assignment",
}


def _mypy(directory: Path, text: str) -> str:
    page = directory / "page.py"
    page.write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(page)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=directory
    ).stdout


@pytest.mark.timeout(180)
def test_what_the_types_allow(tmp_path: Path) -> None:
    assert "Success" in _mypy(tmp_path, _RIGHT)


@pytest.mark.timeout(180)
def test_what_the_types_refuse(tmp_path: Path) -> None:
    said = _mypy(tmp_path, "import isolate\n" + "\n".join(_WRONG))
    for number, code in enumerate(_WRONG.values(), 2):
        assert any(
            line.startswith(f"page.py:{number}:") and f"[{code}]" in line
            for line in said.splitlines()
        ), said
