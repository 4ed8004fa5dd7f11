"""The hooks that a plugin may implement, and the marks by which pluggy knows them.

A plugin is a module that implements hooks, each marked with `hookimpl`, named by an entry point:

- in the group `isolate_runtime`, where the entry point's name is the name of the backend that the
  module registers (any name, where it registers probes or metrics only);
- in the group `isolate_runtime.observers`, where it observes containers. That group apart lets
  `isolate run` import the chosen backend and observers, and nothing else;
- in the group `isolate_runtime.commands`, where the entry point's name is a verb of the command
  line, and its value `module:function` a function with the annotations of typer. It is imported
  when that verb, or the list of all, is asked for. No verb of isolate's own can be replaced.

The marks are pluggy's own, made without importing it: that would double the start of `isolate run`.
Importing and registering should be quick; a plugin that hangs there hangs the command.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, overload

    from isolate.backend.types import ExitStatus, Handle, Usage
    from isolate.plugins.registry import Registry
    from isolate.spec.model import Spec

    Function = TypeVar("Function", bound=Callable[..., Any])


PROJECT = "isolate"
GROUP = "isolate_runtime"
OBSERVERS = "isolate_runtime.observers"
COMMANDS = "isolate_runtime.commands"

if TYPE_CHECKING:

    @overload
    def hookimpl(function: Function) -> Function: ...
    @overload
    def hookimpl(
        *, tryfirst: bool = False, trylast: bool = False, optionalhook: bool = False
    ) -> Callable[[Function], Function]: ...


def hookimpl(
    function: Any = None,
    *,
    tryfirst: bool = False,
    trylast: bool = False,
    optionalhook: bool = False,
) -> Any:
    """Mark a function as an implementation of the hook of its name.

    As pluggy.HookimplMarker("isolate"), without wrappers: observers can't veto.

    Args:
        function: the implementation; none when it is used with options.
        tryfirst: call it before the others.
        trylast: call it after the others.
        optionalhook: no error where this version of isolate has no such hook.
    """

    def mark(implementation: Any) -> Any:
        implementation.isolate_impl = {
            "wrapper": False,
            "hookwrapper": False,
            "optionalhook": optionalhook,
            "tryfirst": tryfirst,
            "trylast": trylast,
            "specname": None,
        }
        return implementation

    return mark if function is None else mark(function)


def _hookspec(function: Function) -> Function:
    """As pluggy.HookspecMarker("isolate")."""
    function.isolate_spec = {  # type: ignore[attr-defined]  # pluggy reads it
        "firstresult": False,
        "historic": False,
        "warn_on_impl": None,
        "warn_on_impl_args": None,
    }
    return function


@_hookspec
def isolate_register_backends(registry: Registry) -> None:
    """Register the plugin's backends; each has an entry point of its name.

    Name the class rather than import it: it is imported when the backend is chosen.

    Args:
        registry: takes `registry.add("NAME", "package.module:Class")`.
    """


@_hookspec
def isolate_register_probes(registry: Registry) -> None:
    """Register isolation probes: what tries, from inside, to get out.

    Args:
        registry: takes `registry.add("area.name", "package.module:Class", summary="...")`.
    """


@_hookspec
def isolate_register_metrics(registry: Registry) -> None:
    """Register metrics: what a comparison measures of a container.

    Args:
        registry: takes `registry.add("name", "package.module:Class", summary="...")`.
    """


@_hookspec
def isolate_container_created(container: Handle, spec: Spec) -> None:
    """A container is made and its program has not begun.

    Observers run one after another in the process that made the change, so they should be quick;
    they can't veto: what they raise becomes a warning.

    Args:
        container: the new container.
        spec: what was asked for.
    """


@_hookspec
def isolate_container_started(container: Handle) -> None:
    """A container's program has been executed.

    Args:
        container: the container.
    """


@_hookspec
def isolate_container_stopped(container: Handle, status: ExitStatus, usage: Usage) -> None:
    """A container's program has ended.

    Args:
        container: the container.
        status: how it ended.
        usage: what it used; unmeasured is None.
    """


@_hookspec
def isolate_container_deleted(container_id: str) -> None:
    """A container and all that belonged to it are gone.

    Args:
        container_id: its id, free for the next.
    """
