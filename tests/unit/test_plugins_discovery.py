"""Backends found by their entry points; broken, doubled, noisy and hostile plugins."""

from __future__ import annotations

import io
import subprocess
import sys
import sysconfig
import textwrap
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest

from isolate.backend import Backend
from isolate.errors import PluginError
from isolate.plugins import Registry, catalogue, load
from isolate.plugins.conflict import foreign_isolate
from isolate.plugins.scan import distributions, entry_points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Installer = Callable[..., Path]

PREFIX = "fake_isolate_plugin_"

GOOD = """
    from isolate.backend import Backend, Plan
    from isolate.hookspecs import hookimpl

    class Fake(Backend):
        name = "fake"
        summary = "a fake"
        api_version = 1
        def check(self): return []
        def capabilities(self): return frozenset()
        def explain(self, spec): return Plan(steps=())
        def create(self, spec, context): raise NotImplementedError
        def start(self, handle): raise NotImplementedError
        def wait(self, handle, timeout=None): raise NotImplementedError
        def status(self, handle): return "stopped"
        def kill(self, handle, signal, *, everyone=False): raise NotImplementedError
        def delete(self, handle): pass

    @hookimpl
    def isolate_register_backends(registry):
        registry.add("fake", Fake)
"""

MARKED = "from isolate.hookspecs import hookimpl\n@hookimpl\n"


@pytest.fixture(autouse=True)
def unloaded() -> Iterator[None]:
    """Fake modules of one test are unknown to the next."""
    yield
    for name in [name for name in sys.modules if name.startswith(PREFIX)]:
        del sys.modules[name]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    """Puts a fake distribution, with one module, on sys.path; the real ones are hidden."""
    library = sysconfig.get_path("stdlib")
    own = [path for path in sys.path if path.startswith(library) and "-packages" not in path]
    monkeypatch.setattr(sys, "path", own)
    sites = iter(range(1000))

    def install(
        source: str = GOOD,
        *,
        names: tuple[str, ...] = ("fake",),
        distribution: str = "fake_dist-1.2.dist-info",
        group: str = "isolate_runtime",
        text: str | None = None,
    ) -> Path:
        number = next(sites)
        site = tmp_path / f"site{number}"
        module = f"{PREFIX}{number}"
        metadata = site / distribution
        metadata.mkdir(parents=True)
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        lines = "\n".join(f"{name} = {module}" for name in names)
        (metadata / "entry_points.txt").write_text(text or f"[{group}]\n{lines}\n")
        monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
        return site

    return install


def refusal(name: str = "fake") -> PluginError:
    with pytest.raises(PluginError) as caught:
        load(name)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500
    return caught.value


# Good plugins


def test_the_chosen_backend_is_made(install: Installer) -> None:
    install()
    backend = load("fake")
    assert isinstance(backend, Backend)
    assert (backend.name, backend.summary) == ("fake", "a fake")


def test_no_other_plugin_is_imported(install: Installer) -> None:
    install()
    install("raise SystemExit(3)", names=("other",), distribution="other-1.dist-info")
    load("fake")
    assert f"{PREFIX}1" not in sys.modules


def test_a_class_named_by_a_string_is_imported_when_it_is_wanted(install: Installer) -> None:
    install(
        f"""
        from isolate.hookspecs import hookimpl
        @hookimpl
        def isolate_register_backends(registry):
            registry.add("one", "{PREFIX}1:Fake", summary="lazy")
            registry.add("fake", "{PREFIX}2:Fake")
        """,
        names=("one", "fake"),
    )
    install("raise RuntimeError", names=(), distribution="broken-1.dist-info")
    install(GOOD, names=(), distribution="helper-1.dist-info")
    assert load("fake").name == "fake"
    assert f"{PREFIX}1" not in sys.modules


def test_the_catalogue_has_all(install: Installer) -> None:
    install()
    install("x = 1 / 0", names=("broken",), distribution="Broken_Dist-2.dist-info")
    install("", names=("probes-only",), distribution="probes-3.dist-info")
    broken, good = catalogue()
    assert (good.name, good.distribution, good.version) == ("fake", "fake-dist", "1.2")
    assert (good.module, good.problem, good.qualified) == (f"{PREFIX}0", None, "fake-dist:fake")
    assert isinstance(good.backend, Backend)
    assert (broken.name, broken.distribution, broken.backend) == ("broken", "broken-dist", None)
    assert broken.problem == (
        "plugin broken of broken-dist: can't be imported: ZeroDivisionError: division by zero"
    )


def test_our_own_backends_are_found_like_a_strangers() -> None:
    rows = {row.name: row for row in catalogue()}
    assert {"chroot", "namespaces"} <= rows.keys()
    assert {rows[name].distribution for name in ("chroot", "namespaces")} == {"isolate-runtime"}
    assert all(row.problem is None for row in rows.values())


def test_loading_a_backend_imports_nothing_dear() -> None:
    program = (
        "import sys; from isolate.plugins import load; load('namespaces'); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "isolate_namespaces.backend" in loaded
    assert not loaded & {"pluggy", "importlib.metadata", "typing", "isolate_chroot.plugin"}


# Broken plugins


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named"),
        ("raise ValueError('two\\nlines \\x1b[31m')", "ValueError: two"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("raise KeyboardInterrupt", "can't be imported: KeyboardInterrupt"),
        ("def x(:", "SyntaxError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("class E(Exception):\n  def __str__(self): raise E\nraise E", "can't be imported: E"),
        (
            "from isolate.errors import PluginError; raise PluginError('a\\x1b\\nb', hint='\\n')",
            r"a\x1b\nb",
        ),
        ("def isolate_register_backends(registry): pass", "lacks its mark"),
        (
            MARKED + "def isolate_register_backends(registry): pass",
            "registers no backend",
        ),
        (
            MARKED + "def isolate_register_backends(): pass",
            "isolate_register_backends failed: TypeError",
        ),
        (
            MARKED + "def isolate_register_backends(registry): exit(1)",
            "isolate_register_backends failed: SystemExit: 1",
        ),
        (
            GOOD.replace('add("fake", Fake)', 'add("fake", Fake); registry.add("fake", Fake)'),
            "twice",
        ),
        (GOOD.replace('add("fake", Fake)', 'add("other", Fake)'), "no entry point of that name"),
        (GOOD.replace('add("fake", Fake)', 'add("fake", Fake())'), "registers"),
        (GOOD.replace('add("fake", Fake)', 'add("fake", "nowhere")'), "registers"),
        (
            GOOD.replace('add("fake", Fake)', 'add("fake", "no_such_module:X")'),
            "ModuleNotFoundError",
        ),
        (GOOD.replace('add("fake", Fake)', 'add("fake", "os:Nothing")'), "AttributeError"),
        (GOOD.replace('add("fake", Fake)', 'add("fake", "os:path")'), "is no subclass of"),
        (GOOD.replace('add("fake", Fake)', 'add("fake", dict)'), "dict is no subclass of"),
        (GOOD.replace("def delete(self, handle): pass", ""), "Fake lacks the methods delete"),
        (GOOD.replace("api_version = 1", "api_version = 2"), "version 2 of the plugin interface"),
        (GOOD.replace("api_version = 1", ""), "doesn't say which version of the plugin interface"),
        (
            GOOD.replace("api_version = 1", "api_version = 2\n        def __init__(self): exit()"),
            "version 2 of the plugin interface",  # it is reported before anything of it is made
        ),
        (GOOD.replace('name = "fake"', 'name = "chroot"'), 'calls itself "chroot"'),
        (GOOD.replace('name = "fake"', "name = 5"), "its name is 5"),
        (GOOD.replace('summary = "a fake"', ""), "its summary is null"),
        (GOOD.replace('summary = "a fake"', 'summary = "a\\nb"'), "its summary is"),
        (
            GOOD.replace("def check", "def __init__(self): exit()\n        def check"),
            "can't make the backend: SystemExit",
        ),
    ],
)
def test_a_broken_plugin_is_named_and_breaks_nothing(
    source: str, reason: str, install: Installer
) -> None:
    install(source)
    install(GOOD.replace("fake", "fine"), names=("fine",), distribution="fine-1.dist-info")
    error = refusal()
    assert reason in error.message
    assert error.message.startswith("plugin fake of fake-dist: ")
    broken, fine = catalogue()
    assert (broken.problem, broken.backend) == (error.message, None)
    assert fine.problem is None


def test_a_plugin_without_backends_is_no_backend(install: Installer) -> None:
    install("x = 1")
    assert "has no backend" in refusal().message
    assert catalogue() == []


@pytest.mark.parametrize("name", ["a b", "-x", ".x", "a:b", "x\x1b", "é"])
def test_a_backend_has_a_decent_name(name: str, install: Installer) -> None:
    install(GOOD.replace('add("fake"', f"add({name!r}"), names=(name,))
    (row,) = catalogue()
    assert "no name for a backend" in (row.problem or "")
    assert row.name.isprintable()


# What plugins print


def test_what_a_plugin_prints_is_not_on_standard_output(install: Installer) -> None:
    noise = """
        import os, subprocess, sys
        print("python noise")
        sys.__stdout__.write("buffered noise\\n")
        os.write(1, b"raw noise\\n")
        subprocess.run(["echo", "child noise"])
    """
    site = install(textwrap.dedent(noise) + textwrap.dedent(GOOD))
    program = f"""if True:
        import sys; sys.path.append({str(site)!r})
        from isolate.plugins import load
        print("before"); print(load("fake").name)
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "before\nfake\n"
    assert {"python noise", "buffered noise", "raw noise", "child noise"} <= set(
        done.stderr.splitlines()
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_standard_streams_do_no_harm(closed: str, install: Installer) -> None:
    site = install("print('noise')\n" + textwrap.dedent(GOOD))
    program = (
        f"import sys; sys.path.append({str(site)!r}); import isolate.plugins as p; p.load('fake')"
    )
    argv = ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, program]
    assert subprocess.run(argv, capture_output=True, check=False).returncode == 0


def test_python_output_is_given_back_when_a_plugin_took_it(install: Installer) -> None:
    install("import sys; sys.stdout = None\n" + textwrap.dedent(GOOD))
    with redirect_stdout(io.StringIO()) as kept:
        load("fake")
        print("after")  # noqa: T201 - the subject of the test
    assert kept.getvalue() == "after\n"


# Names that two claim


def test_a_name_of_two_distributions_is_refused_and_both_are_named(install: Installer) -> None:
    install()
    install(GOOD.replace("a fake", "another"), distribution="evil-6.dist-info")
    error = refusal()
    assert error.message == "fake is registered by evil and by fake-dist"
    assert error.hint == "say which: evil:fake, or fake-dist:fake"
    assert [row.problem for row in catalogue()] == [error.message] * 2
    assert not any(name.startswith(PREFIX) for name in sys.modules)
    assert load("evil:fake").summary == "another"
    assert load("Fake_Dist:fake").summary == "a fake"


def test_a_name_twice_in_one_distribution_is_refused(install: Installer) -> None:
    install(names=("fake", "fake"))
    assert refusal().message == "fake-dist has two entry points named fake"


def test_a_distribution_found_twice_counts_once(
    install: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install()
    install(GOOD.replace("a fake", "hidden"), distribution="Fake.Dist-0.1.dist-info")
    monkeypatch.setattr(sys, "path", [*sys.path, str(site), str(site)])
    assert load("fake").summary == "a fake"


def test_a_leftover_of_an_older_version_loses(install: Installer) -> None:
    site = install()
    older = site / "fake_dist-1.1.dist-info"
    older.mkdir()
    (older / "entry_points.txt").write_text("[isolate_runtime]\nfake = nowhere\n")
    (site / "~ake_dist-1.3.dist-info").mkdir()
    assert load("fake").name == "fake"
    assert [one.version for one in distributions() if one.name == "fake-dist"] == ["1.2"]


# Names that nobody has


def test_an_unknown_name_gets_a_suggestion(install: Installer) -> None:
    install()
    error = refusal("fale")
    assert error.message == 'there is no backend "fale"'
    assert error.hint == "did you mean fake? the backends are: fake"


@pytest.mark.parametrize("name", ["", ":", "x:", ":fake", "other:fake", "\x1b[2J", "f" * 10**6])
def test_odd_names_are_refused(name: str, install: Installer) -> None:
    install()
    refusal(name)


def test_without_any_plugin(install: Installer) -> None:
    assert catalogue() == []
    assert refusal().hint == "no backend is installed"


# How distributions are found


@pytest.mark.parametrize(
    ("folder", "version"),
    [
        ("fake_dist-1.2.dist-info", "1.2"),
        ("fake_dist-1.2-py3.11.egg-info", "1.2"),
        ("fake_dist.egg-info", "7.0"),
    ],
)
def test_kinds_of_metadata(folder: str, version: str, install: Installer) -> None:
    site = install(distribution=folder)
    (site / folder / "PKG-INFO").write_text("Metadata-Version: 2.1\nVersion: 7.0\n")
    (row,) = catalogue()
    assert (row.distribution, row.version) == ("fake-dist", version)


def test_entry_points_are_read_as_the_specification_says(install: Installer) -> None:
    install(
        text=f"""
        # fake = commented
        [console_scripts]
        fake = nowhere:main
        [ isolate_runtime ]
        ; fake = commented
        fake={PREFIX}0  [extra]
        nonsense
        [other]
        fake = nowhere
        """
    )
    assert [(one.name, one.value) for one in entry_points("isolate_runtime")] == [
        ("fake", f"{PREFIX}0")
    ]
    assert load("fake").name == "fake"


def test_an_entry_point_may_name_an_object(install: Installer) -> None:
    install(
        textwrap.dedent(GOOD)
        + "class Plugin:\n  isolate_register_backends = staticmethod(isolate_register_backends)\n",
        text=f"[isolate_runtime]\nfake = {PREFIX}0:Plugin\n",
    )
    assert load("fake").name == "fake"


@pytest.mark.parametrize(
    "content", [b"\xff\xfe[isolate_runtime]\n\0=\n", b"[isolate_runtime]\n" * 9, b"=" * 2**21]
)
def test_damaged_metadata_does_no_harm(content: bytes, install: Installer) -> None:
    site = install()
    damaged = site / "damaged-1.dist-info"
    damaged.mkdir()
    (damaged / "entry_points.txt").write_bytes(content)
    assert load("fake").name == "fake"
    catalogue()


def test_odd_paths_are_passed_over(
    install: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    archive = tmp_path / "library.zip"
    archive.write_bytes(b"PK")
    (tmp_path / "file.egg-info").write_text("a file, as distutils had it")
    odd = [str(archive), str(tmp_path / "missing"), str(tmp_path)]
    monkeypatch.setattr(sys, "path", [*odd, *sys.path])
    assert load("fake").name == "fake"


def test_a_relative_path_is_the_working_directorys(
    install: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install()
    monkeypatch.setattr(sys, "path", ["", *(path for path in sys.path if path != str(site))])
    monkeypatch.chdir(site)
    assert load("fake").name == "fake"


# The other project of this name


def test_the_foreign_distribution_is_detected(install: Installer) -> None:
    assert foreign_isolate() is None
    install("", names=(), distribution="isolate-0.22.3.dist-info")
    problem = foreign_isolate()
    assert problem is not None
    assert "isolate 0.22.3 of another project" in problem.what
    assert "reinstall isolate-runtime" in problem.remedy


# The registry


@pytest.mark.parametrize(
    "arguments", [("", dict), (5, dict), ("x", 5), ("x", "module"), ("x", None), ("x", object())]
)
def test_the_registry_refuses_nonsense(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(PluginError, match="registers"):
        Registry().add(*arguments)


def test_the_registry_resolves() -> None:
    registry = Registry()
    registry.add("a", dict, summary="a table")
    registry.add("b", "collections:OrderedDict.fromkeys")
    assert list(registry) == ["a", "b"]
    assert len(registry) == 2
    first, second = registry.get("a"), registry.get("b")
    assert first is not None
    assert second is not None
    assert (first.resolve(), first.summary) == (dict, "a table")
    assert second.resolve()("x") == {"x": None}
    assert registry.get("c") is None
