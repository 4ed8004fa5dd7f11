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

with isolate.Sandbox(memory="64M", backend="jail") as box:
    done: isolate.Completed = box.exec(["true"], stdin=b"x", timeout=5, cwd="/tmp").check()
    box.write("/tmp/a", "text", mode=0o755)
    data: bytes = box.read("/tmp/a", limit=100)
    names: list[str] = box.listdir()
    used: int | None = box.stats().memory_bytes

with isolate.Pool(isolate.Spec(), size=2, pids=3) as pool, pool.take() as taken:
    done = pool.run(["true"], env={"A": "b"})
    one: isolate.Sandbox = taken

async def later() -> isolate.Result:
    async with aio.Sandbox(pids=3) as box, aio.Pool(size=2) as pool, pool.take() as taken:
        done: isolate.Completed = await box.exec(["true"], max_output="1K")
        data: bytes = await taken.read("/tmp/a")
        done = await pool.run(["true"], timeout=0.5)
    return await aio.run(["true"], cpus=0.5)
"""

_WRONG = {
    'isolate.run("true; false", memory=[])': "arg-type",
    'isolate.run(["true"], memroy="64M")': "call-arg",
    'isolate.run(["true"]).exitcode': "attr-defined",
    'result: str = isolate.run(["true"])': "assignment",
    'isolate.Sandbox("base")': "call-arg",
    'isolate.Sandbox().exec(["true"], timout=5)': "call-arg",
    'isolate.Sandbox().exec(["true"]).receipt': "attr-defined",
    "isolate.Sandbox().write(1, b'')": "arg-type",
    "isolate.Pool()": "call-arg",
    'isolate.aio.Sandbox().exec(["true"]).stdout': "attr-defined",
    "with isolate.aio.Pool(size=2): pass": "attr-defined",
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
