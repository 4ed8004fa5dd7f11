"""What a backend promises: check, capabilities, explain, the receipt, and each feature."""

from __future__ import annotations

import json
import os
import traceback
from typing import TYPE_CHECKING, Any

from isolate.backend import API_VERSION, FEATURES, Plan, Problem, ReceiptRow, required
from isolate.errors import IsolateError, UnsupportedError
from isolate.linux import capabilities, prctl
from isolate.testing import oracle
from isolate.testing.features import CONTRACTS
from isolate.testing.hold import hold, nothing, same
from isolate.testing.lab import errors_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from isolate.testing.features import FeatureContract
    from isolate.testing.lab import Lab

REFUSED = "refused"  # the property of a test report that tells a refusal from a proof


class PromisesContract:
    """Tests of what is said, and that it is so."""

    def test_it_names_itself(self, lab: Lab) -> None:
        backend = lab.backend
        same(backend.name, lab.name, "its name")
        hold(backend.summary and "\n" not in backend.summary, "its summary is no line of text")
        same(backend.api_version, API_VERSION, "its version of the plugin interface")

    def test_it_claims_features_that_exist(self, lab: Lab) -> None:
        claims = lab.claims
        hold(isinstance(claims, frozenset), "capabilities() is no frozenset")
        nothing(sorted(claims - FEATURES.keys()), "claims what is no feature")

    def test_an_instance_holds_no_state(self, lab: Lab) -> None:
        """Every other test uses a new instance for each call; here is what it would hide."""
        backend = lab.backend
        before = dict(vars(backend))
        backend.check()
        backend.capabilities()
        backend.explain(lab.spec(["true"]))
        same(dict(vars(backend)), before, "the instance's attributes after its methods")

    def test_looking_changes_nothing(self, lab: Lab) -> None:
        backend, spec = lab.backend, lab.spec(["true"])
        backend.check()  # what is made once and kept (a cache) is made here
        backend.explain(spec)
        with open("/proc/self/mountinfo", "rb") as file:
            mounts = file.read()
        for problem in backend.check():
            hold(isinstance(problem, Problem), f"check() gives {problem!r}")
        backend.capabilities()
        hold(isinstance(backend.explain(spec), Plan), "explain() gives no Plan")
        with open("/proc/self/mountinfo", "rb") as file:
            same(file.read(), mounts, "the mounts after explain()")
        nothing(lab.traces.left(), "looking left")

    def test_looking_needs_no_rights(self, lab: Lab) -> None:
        backend, spec = lab.backend, lab.spec(["true"])
        backend.explain(spec)  # imports what it needs while this user may read it

        def look() -> None:
            backend.check()
            backend.capabilities()
            backend.explain(spec)

        failure = _without_rights(look)
        hold(not failure, f"without rights: {failure}")

    def test_explain_is_a_plan_of_steps(self, lab: Lab) -> None:
        plan = lab.backend.explain(lab.spec(["echo", "contract-argument"]))
        names = [step.name for step in plan.steps]
        hold(names, "explain() has no steps")
        twice = {name for name in names if names.count(name) > 1}
        nothing(sorted(twice), "steps of one name")
        said = " ".join(step.what for step in plan.steps)
        hold("contract-argument" in said, "explain() doesn't tell the command")
        same(plan.unsupported, (), "explain() of a spec that asks for nothing: unsupported")

    def test_feature(self, lab: Lab, feature: str, request: pytest.FixtureRequest) -> None:
        """A claimed feature is there; one that isn't claimed is refused before anything is made."""
        contract = CONTRACTS[feature]
        if feature in lab.claims:
            contract.prove(lab)
        else:
            request.node.user_properties.append((REFUSED, feature))
            _prove_refused(lab, contract)

    def test_an_unknown_option_is_refused(self, lab: Lab) -> None:
        options = {"backend_options": {lab.name: {"contract_no_such_option": "1"}}}
        error = errors_of(lab.run, ["true"], options)
        hold(error is not None, "an option that doesn't exist was ignored")

    def test_the_receipt_holds(self, lab: Lab) -> None:
        """What it says of a container is what an independent reader finds."""
        live = lab.create(["sleep", "60"], _much(lab))
        rows = lab.backend.receipt(live.container.spec, live.handle)
        for row in rows:
            hold(isinstance(row, ReceiptRow), f"receipt() gives {row!r}")
            hold(row.feature in FEATURES, f"the receipt tells of {row.feature!r}, no feature")
            hold(row.holds, f"{row.feature}: asked {row.asked}, enforced {row.enforced}")
            hold(os.path.exists(row.source), f"{row.feature} was read from {row.source}: not there")
            contradiction = oracle.contradiction(row, live.handle)
            hold(contradiction is None, f"the receipt of {row.feature}: {contradiction}")


def _much(lab: Lab) -> dict[str, Any]:
    """As many asked-for things as the receipt may tell of, of those that are claimed."""
    asked: dict[str, Any] = {}
    for feature, table, key, value in (
        ("limits.memory", "limits", "memory", 2**28),
        ("limits.pids", "limits", "pids", 77),
        ("limits.cpus", "limits", "cpus", 0.5),
        ("privileges.no_new_privileges", "privileges", "no_new_privileges", True),
        ("process.rlimits", "process", "rlimits", {"nofile": {"soft": 99, "hard": 99}}),
    ):
        if feature in lab.claims:
            asked.setdefault(table, {})[key] = value
    return asked


def _prove_refused(lab: Lab, contract: FeatureContract) -> None:
    feature = contract.feature
    asked = contract.ask(lab)
    spec = lab.spec(["true"], {**asked, "allow_degraded": []})
    if feature != "root":
        hold(feature in required(spec), f"the contract doesn't ask for {feature}")
        plan = lab.backend.explain(spec)
        hold(feature in plan.unsupported, f"explain() doesn't tell that {feature} is unsupported")
        error = errors_of(lab.run, ["true"], asked)
        hold(isinstance(error, UnsupportedError), f"{feature} isn't claimed, and wasn't refused")
        hold(feature in str(error), f"the refusal doesn't name {feature}: {error}")
    nothing(lab.traces.left(), "a refusal left")


def _without_rights(call: Callable[[], None]) -> str:
    """What a call raises in a child without any capability; "" is nothing.

    The child keeps its user, who may be the only one that may read this installation.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            capabilities.capset(0, 0, 0)
            prctl.set_no_new_privs()
            call()
        except IsolateError as error:
            os.write(write_end, json.dumps(f"{type(error).__name__}: {error}").encode())
        except BaseException:  # noqa: BLE001 - the child must not go on as a second pytest
            os.write(write_end, json.dumps(traceback.format_exc()).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return str(json.loads(text)) if text else ""
