"""The hooks: documented, known to pluggy, typed in front, and contained behind."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pluggy
import pytest

import isolate
from isolate import hookspecs
from isolate.backend import Backend, ExitStatus, Handle, Usage, abilities
from isolate.plugins import Registry
from isolate.plugins import hooks as hooks_module
from isolate.plugins.hooks import Hooks
from isolate.spec import Spec
from tests.support.source import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Installer = Callable[..., Path]

PREFIX = "fake_isolate_hooks_"
SPECS = {
    name: function
    for name, function in vars(hookspecs).items()
    if getattr(function, "isolate_spec", None)
}
CONTAINER = Handle(id="c1", backend="fake")
SEEN: list[Any] = []  # filled by the fake plugins


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    SEEN.clear()
    yield
    for name in [name for name in sys.modules if name.startswith(PREFIX)]:
        del sys.modules[name]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    """Puts a fake distribution with one plugin module on sys.path."""
    sites = iter(range(1000))

    def install(source: str, *groups: str) -> Path:
        number = next(sites)
        module, site = f"{PREFIX}{number}", tmp_path / f"site{number}"
        metadata = site / f"dist{number}-1.dist-info"
        metadata.mkdir(parents=True)
        start = f"from isolate import hookimpl\nfrom {__name__} import SEEN\n"
        (site / f"{module}.py").write_text(start + textwrap.dedent(source))
        sections = [f"[{group}]\nfake{number} = {module}\n" for group in groups]
        (metadata / "entry_points.txt").write_text("".join(sections))
        monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
        return site

    return install


def call_all(hooks: Hooks) -> None:
    hooks.container_created(CONTAINER, Spec())
    hooks.container_started(CONTAINER)
    hooks.container_stopped(CONTAINER, ExitStatus(code=3), Usage())
    hooks.container_deleted("c1")


# What is documented


@pytest.mark.parametrize("name", SPECS)
def test_every_hook_and_every_argument_is_documented(name: str) -> None:
    text = inspect.getdoc(SPECS[name]) or ""
    assert text
    for argument in inspect.signature(SPECS[name]).parameters:
        assert f"\n    {argument}: " in text, f"{name}'s docstring lacks {argument}"


def _methods(owner: type) -> dict[str, Any]:
    """The methods that a backend may override, by the name that the documentation has."""
    members = {name: one for name, one in vars(owner).items() if not name.startswith("_")}
    return {
        f"{owner.__name__}.{name}": one for name, one in members.items() if inspect.isfunction(one)
    }


METHODS = {
    name: method
    for owner in (Backend, *filter(inspect.isabstract, vars(abilities).values()))
    for name, method in _methods(owner).items()
}


def test_every_public_method_of_a_backend_is_documented() -> None:
    assert {"Backend.check", "Backend.create", "Executes.exec", "OpensRoot.open_root"} <= (
        METHODS.keys()
    )
    assert [name for name, one in METHODS.items() if not (one.__doc__ or "").strip()] == []


def test_the_reference_has_every_hook_and_every_method_with_its_words() -> None:
    page = (ROOT / "docs" / "reference" / "plugin-api.md").read_text()
    sections = dict(re.findall(r"^#{3,4} (\S+)\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL))
    for name, documented in {**SPECS, **METHODS}.items():
        first = (inspect.getdoc(documented) or "").splitlines()[0]
        assert first in sections.get(name, ""), f"{name} is not on the page of the plugin interface"
        for argument in inspect.signature(documented).parameters:
            assert argument == "self" or argument in sections[name]


def test_every_attribute_of_a_backend_is_documented() -> None:
    text = inspect.getdoc(Backend) or ""
    for name in Backend.__annotations__:
        assert f"\n    {name}: " in text, f"the docstring of Backend lacks {name}"


@pytest.mark.parametrize("name", SPECS)
def test_a_typed_method_stands_before_each_hook(name: str) -> None:
    if name == "isolate_register_backends":
        return  # asked of one plugin at a time, by isolate.plugins.discovery
    method = getattr(Hooks, name.removeprefix("isolate_"))
    own, expected = inspect.signature(method), inspect.signature(SPECS[name])
    assert list(own.parameters.values())[1:] == list(expected.parameters.values())


# The marks


def test_pluggy_takes_our_marks_for_its_own() -> None:
    def theirs() -> None: ...
    def ours() -> None: ...

    pluggy.HookimplMarker("isolate")(theirs, tryfirst=True, optionalhook=True)
    hookspecs.hookimpl(tryfirst=True, optionalhook=True)(ours)
    assert vars(ours) == vars(theirs)

    def theirs_plain() -> None: ...
    def ours_plain() -> None: ...

    assert hookspecs.hookimpl(ours_plain) is ours_plain
    assert vars(ours_plain) == vars(pluggy.HookimplMarker("isolate")(theirs_plain))

    def spec() -> None: ...
    def spec_of_ours() -> None: ...

    assert vars(pluggy.HookspecMarker("isolate")(spec)) == vars(hookspecs._hookspec(spec_of_ours))


def test_pluggy_finds_and_calls_a_marked_function() -> None:
    class Plugin:
        @isolate.hookimpl
        def isolate_container_deleted(self, container_id: str) -> None:
            SEEN.append(container_id)

    manager = pluggy.PluginManager("isolate")
    manager.add_hookspecs(hookspecs)
    manager.register(Plugin())
    manager.check_pending()
    manager.hook.isolate_container_deleted(container_id="c1")
    assert SEEN == ["c1"]
    assert set(vars(manager.hook)) >= set(SPECS)


def test_the_mark_costs_no_import_of_pluggy() -> None:
    program = "import isolate, sys; isolate.hookimpl; print('pluggy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"False\n"


# Observers


OBSERVER = """
    @hookimpl
    def isolate_container_created(container, spec): SEEN.append(("created", container.id, spec))
    @hookimpl
    def isolate_container_started(container): SEEN.append(("started", container.id))
    @hookimpl
    def isolate_container_stopped(status): SEEN.append(("stopped", status.code))
    @hookimpl
    def isolate_container_deleted(container_id): SEEN.append(("deleted", container_id))
"""


def test_observers_see_the_whole_life(install: Installer) -> None:
    install(OBSERVER, hookspecs.OBSERVERS)
    warnings: list[str] = []
    call_all(Hooks(warnings.append))
    assert [
        ("created", "c1", Spec()),
        ("started", "c1"),
        ("stopped", 3),
        ("deleted", "c1"),
    ] == SEEN
    assert warnings == []


def test_without_observers_pluggy_is_not_imported() -> None:
    program = (
        "import sys; from isolate.plugins.hooks import Hooks; Hooks().container_deleted('c1');"
        "print('pluggy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"False\n"


def test_backend_plugins_are_not_imported_for_observing(install: Installer) -> None:
    install("raise SystemExit", hookspecs.GROUP)
    warnings: list[str] = []
    call_all(Hooks(warnings.append))
    assert warnings == []


@pytest.mark.parametrize("error", ["ValueError('a\\nb')", "SystemExit(1)", "KeyboardInterrupt"])
def test_an_observer_cannot_veto(error: str, install: Installer) -> None:
    failing = f"@hookimpl\ndef isolate_container_started(container):\n    raise {error}\n"
    install(OBSERVER, hookspecs.OBSERVERS)
    install(failing, hookspecs.OBSERVERS)
    install(OBSERVER, hookspecs.OBSERVERS)
    warnings: list[str] = []
    Hooks(warnings.append).container_started(CONTAINER)
    assert SEEN == [("started", "c1")] * 2
    (line,) = warnings
    assert line.startswith("plugin fake1 of dist1: isolate_container_started: ")
    assert line.isprintable()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "can't be registered: ModuleNotFoundError"),
        ("@hookimpl\ndef isolate_container_started(contaner): pass", "PluginValidationError"),
        ("@hookimpl\ndef isolate_container_strated(container): pass", "is no hook of this version"),
        (
            """
            import pluggy
            @pluggy.HookimplMarker("isolate")(wrapper=True)
            def isolate_container_started(container):
                yield
            """,
            "is a wrapper",
        ),
    ],
)
def test_a_broken_observer_is_a_warning_and_the_others_go_on(
    source: str, reason: str, install: Installer
) -> None:
    install(source, hookspecs.OBSERVERS)
    install(OBSERVER, hookspecs.OBSERVERS)
    warnings: list[str] = []
    hooks = Hooks(warnings.append)
    call_all(hooks)
    call_all(hooks)
    assert len(SEEN) == 8
    (line,) = warnings
    assert reason in line
    assert line.startswith("plugin fake0 of dist0: ")


def test_an_optional_hook_may_be_unknown(install: Installer) -> None:
    install("@hookimpl(optionalhook=True)\ndef isolate_future(x): pass", hookspecs.OBSERVERS)
    warnings: list[str] = []
    call_all(Hooks(warnings.append))
    assert warnings == []


def test_two_entry_points_of_one_module_are_one_plugin(install: Installer) -> None:
    site = install(OBSERVER, hookspecs.OBSERVERS)
    text = f"[{hookspecs.OBSERVERS}]\na = {PREFIX}0\nb = {PREFIX}0\n"
    (site / "dist0-1.dist-info" / "entry_points.txt").write_text(text)
    Hooks().container_started(CONTAINER)
    assert SEEN == [("started", "c1")]


def test_what_an_observer_prints_is_not_the_programs_output(
    install: Installer, capfd: pytest.CaptureFixture[str]
) -> None:
    install(
        "import os\n@hookimpl\ndef isolate_container_started(container): os.system('echo noise')",
        hookspecs.OBSERVERS,
    )
    Hooks().container_started(CONTAINER)
    assert capfd.readouterr() == ("", "noise\n")


def test_a_warning_is_one_line_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    hooks_module.warn("something \udcff")
    assert capfd.readouterr() == ("", "warning: something \\udcff\n")


# Probes and metrics


def test_probes_and_metrics_are_registered(install: Installer) -> None:
    install(
        """
        @hookimpl
        def isolate_register_probes(registry): registry.add("fs.x", dict, summary="x")
        @hookimpl
        def isolate_register_metrics(registry): registry.add("start", "builtins:int")
        """,
        hookspecs.GROUP,
    )
    install(
        "@hookimpl\ndef isolate_register_probes(registry): registry.add('fs.x', list)",
        hookspecs.GROUP,
    )
    warnings: list[str] = []
    hooks, probes, metrics = Hooks(warnings.append), Registry(), Registry()
    hooks.register_probes(probes)
    hooks.register_metrics(metrics)
    assert {"fs.x", "start"} <= {*probes, *metrics}  # beside our own
    (line,) = warnings
    assert line.endswith('registers "fs.x" twice')
