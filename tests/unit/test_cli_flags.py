"""From options to the document: every conversion, and its refusals by the flag's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate.cli import flags
from isolate.cli.options import LIST, RUN_OPTIONS, SWITCH
from isolate.errors import IsolateError, SpecError
from isolate.spec.model import Spec

if TYPE_CHECKING:
    from pathlib import Path


def document(**values: Any) -> dict[str, Any]:
    return flags.document(values, "namespaces")


@pytest.mark.parametrize(
    ("values", "made"),
    [
        ({"memory": "64M"}, {"limits": {"memory": "64M"}}),
        ({"cpus": "0.5", "pids": "7"}, {"limits": {"cpus": 0.5, "pids": 7}}),
        ({"env": ["A=1", "B="]}, {"process": {"env": {"A": "1", "B": ""}}}),
        (
            {"volume": ["/a:/b:ro,idmap"]},
            {"mounts": [{"source": "/a", "target": "/b", "readonly": True, "idmap": True}]},
        ),
        (
            {"tmpfs": ["/t:size=1M,mode=700"]},
            {"mounts": [{"type": "tmpfs", "target": "/t", "size": "1M", "mode": 0o700}]},
        ),
        (
            {"mount": ["type=bind,src=/a,dst=/b,ro=false,exec=0"]},
            {
                "mounts": [
                    {
                        "type": "bind",
                        "source": "/a",
                        "target": "/b",
                        "readonly": False,
                        "exec": False,
                    }
                ]
            },
        ),
        (
            {"rlimit": ["NOFILE=1:2", "core=unlimited"]},
            {
                "process": {
                    "rlimits": {"nofile": {"soft": 1, "hard": 2}, "core": {"soft": -1, "hard": -1}}
                }
            },
        ),
        (
            {"cap_add": ["chown", "CAP_KILL"]},
            {"privileges": {"cap_add": ["CAP_CHOWN", "CAP_KILL"]}},
        ),
        ({"cap_drop": ["all"]}, {"privileges": {"cap_drop": ["ALL"]}}),
        (
            {"device": ["/dev/a:/b:r"]},
            {"devices": [{"path": "/dev/a", "target": "/b", "access": "r"}]},
        ),
        ({"device": ["/dev/a:rw"]}, {"devices": [{"path": "/dev/a", "access": "rw"}]}),
        (
            {"option": ["namespaces.a=1", "b=2"]},
            {"backend_options": {"namespaces": {"a": "1", "b": "2"}}},
        ),
        (
            {"io_max": ["/dev/x:rbps=1M,wiops=5"]},
            {"limits": {"io": [{"device": "/dev/x", "rbps": "1M", "wiops": 5}]}},
        ),
        ({"args": ["a", "-b"]}, {"process": {"args": ["a", "-b"]}}),
        ({}, {}),
    ],
)
def test_the_document(values: dict[str, Any], made: dict[str, Any]) -> None:
    assert document(**values) == made


def test_mounts_of_all_options_stand_together() -> None:
    made = document(mount=["type=tmpfs,target=/1"], volume=["/a:/2"], tmpfs=["/3"])
    assert [row["target"] for row in made["mounts"]] == ["/1", "/2", "/3"]


def test_relative_sources_are_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert document(volume=["./a:/b"])["mounts"][0]["source"] == f"{tmp_path}/a"
    assert document(seccomp="file")["privileges"]["seccomp"] == f"{tmp_path}/file"


def test_a_variable_is_copied_or_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "value")
    monkeypatch.delenv("ABSENT", raising=False)
    assert document(env=["HERE", "ABSENT"]) == {"process": {"env": {"HERE": "value"}}}


def test_an_env_file_and_its_bounds(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# c\nA=1\n\n  B=2  \n")
    made = document(env_file=[str(file)], env=["A=9"])
    assert made == {"process": {"env": {"A": "9", "B": "2"}}}
    file.write_bytes(b"A=" + b"x" * 2**20)
    with pytest.raises(SpecError, match="larger"):
        document(env_file=[str(file)])


LIKELY = ["a=b", "/a:/b", "type=bind", "x:y:z", "1:2:3:4", ","]
TEXTS = st.text(max_size=12) | st.sampled_from(LIKELY)


@st.composite
def values(draw: st.DrawFn) -> dict[str, Any]:
    kinds = {SWITCH: st.booleans(), LIST: st.lists(TEXTS, max_size=3)}
    skipped = {"env_file", "spec"}  # they name files of the host
    rows = [row for row in RUN_OPTIONS if row.dest not in skipped]
    chosen = draw(st.lists(st.sampled_from(rows)))
    return {row.dest: draw(kinds.get(row.kind, TEXTS)) for row in chosen}


@given(values())
def test_any_value_is_a_spec_or_one_clear_error(given_values: dict[str, Any]) -> None:
    failure = None
    try:
        Spec.build(flags.document(given_values, "namespaces"), "")
    except IsolateError as error:
        failure = error
    assert failure is None or (failure.message and failure.hint)
