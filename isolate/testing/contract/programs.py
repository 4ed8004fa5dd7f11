"""What a program gets and gives: arguments, environment, streams, descriptors, exit codes."""

from __future__ import annotations

import json
import os
import secrets
import signal
from typing import TYPE_CHECKING

from isolate.errors import ExecError, IsolateError
from isolate.testing.hold import hold, nothing, same

if TYPE_CHECKING:
    from isolate.testing.lab import Lab

_ARGUMENTS = ["", " ", "a b", "'\"$(x)`\\", "two\nlines", "tab\t", "-n", "--", "=", "ü€😀", "%s*"]

_TRAPS = """
import signal
def leave(number, frame):
    sys.exit(40 + number)
for number in given:
    signal.signal(number, leave)
emit("ready")
while True:
    time.sleep(1)
"""


class ProgramsContract:
    """Tests of a program's world, from inside."""

    def test_exit_code(self, lab: Lab, exit_code: int) -> None:
        ran = lab.run(["sh", "-c", f"exit {exit_code}"])
        same((ran.status.code, ran.status.signal), (exit_code, None), "exit code and signal")

    def test_arguments_arrive_unchanged(self, lab: Lab) -> None:
        ran = lab.run([*lab.script("emit(sys.argv[1:])"), *_ARGUMENTS])
        same(json.loads(ran.stdout), _ARGUMENTS, "the arguments")

    def test_the_environment_is_what_was_asked(self, lab: Lab) -> None:
        secret = secrets.token_hex(8)
        os.environ["ISOLATE_CONTRACT_SECRET"] = secret
        try:
            found = lab.ask(
                "emit(dict(os.environ))",
                {"process": {"env": {"ASKED": "a b\n=ü", "EMPTY": ""}}},
            )
        finally:
            del os.environ["ISOLATE_CONTRACT_SECRET"]
        same((found.get("ASKED"), found.get("EMPTY")), ("a b\n=ü", ""), "what was asked for")
        hold(found.get("PATH"), "there is no PATH")
        nothing([key for key, value in found.items() if secret in value], "variables of the caller")

    def test_the_working_directory(self, lab: Lab) -> None:
        same(lab.ask("emit(os.getcwd())"), "/", "the working directory")
        found = lab.ask("emit(os.getcwd())", {"process": {"cwd": "/usr"}})
        same(found, "/usr", "the working directory that was asked for")

    def test_a_working_directory_outside_is_refused(self, lab: Lab) -> None:
        """CVE-2024-21626: a descriptor of the host as working directory."""
        door = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        os.set_inheritable(door, True)  # noqa: FBT003 - os has it so
        try:
            for number in (door, *range(3, 11)):
                hold(not _leads_out(lab, f"/proc/self/fd/{number}"), f"descriptor {number}")
        finally:
            os.close(door)

    def test_standard_streams_are_byte_exact(self, lab: Lab) -> None:
        data = bytes(range(256)) * 512 + secrets.token_bytes(1 << 20)
        done = lab.run(
            lab.script(
                "data = sys.stdin.buffer.read()\n"
                "sys.stdout.buffer.write(data)\n"
                "sys.stderr.buffer.write(data[::-1])"
            ),
            stdin=data,
        )
        hold(done.stdout == data, f"{len(done.stdout)} other bytes came out than went in")
        hold(done.stderr == data[::-1], f"{len(done.stderr)} other bytes on standard error")

    def test_the_streams_keep_apart(self, lab: Lab) -> None:
        ran = lab.run(["sh", "-c", "echo out; echo err >&2"])
        same((ran.stdout, ran.stderr), (b"out\n", b"err\n"), "standard output and error")

    def test_without_input_it_reads_nothing(self, lab: Lab) -> None:
        ran = lab.run(["cat"], {"process": {"interactive": False}}, stdin=b"secret")
        same((ran.status.code, ran.stdout), (0, b""), "what was read of an input not passed on")

    def test_no_descriptor_leaks_in(self, lab: Lab) -> None:
        planted = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        high = os.dup2(planted, 177)
        os.set_inheritable(planted, True)  # noqa: FBT003 - os has it so
        try:
            found = lab.ask(
                "names = os.listdir('/proc/self/fd')\n"
                "emit([[name, link('/proc/self/fd/' + name)] for name in names])"
            )
        finally:
            os.close(planted)
            os.close(high)
        # The listing's own descriptor is closed by the time that its link is read.
        extra = [f"{name} -> {path}" for name, path in found if int(name) > 2 and path is not None]
        nothing(extra, "descriptors inside beside the standard streams")

    def test_a_program_that_is_not_there_is_127(self, lab: Lab) -> None:
        for program in ("contract-no-such-program", "/contract/no-such-program"):
            same(_exit_status(lab, program), 127, f"exit status of {program}")

    def test_a_program_that_may_not_be_executed_is_126(self, lab: Lab) -> None:
        same(_exit_status(lab, "/etc/passwd"), 126, "exit status of /etc/passwd")
        same(_exit_status(lab, "/etc"), 126, "exit status of a directory")

    def test_signals_arrive(self, lab: Lab) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            live = lab.start(lab.script(_TRAPS, int(number)))
            live.expect(b"ready")
            live.kill(number)
            same(live.wait().code, 40 + number, f"the exit code of the handler of {number.name}")
            live.close()

    def test_the_signal_that_killed_it_is_told(self, lab: Lab) -> None:
        live = lab.start(lab.script("emit('ready')\ntime.sleep(60)"))
        live.expect(b"ready")
        live.kill(signal.SIGKILL)
        status = live.wait()
        same((status.code, status.signal), (None, 9), "exit code and signal after SIGKILL")

    def test_an_unmasked_start(self, lab: Lab) -> None:
        """No signal is blocked or ignored when the program begins (Python ignores SIGPIPE)."""
        ran = lab.run(["sh", "-c", "cat /proc/self/status"])
        lines = ran.stdout.decode().splitlines()
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        found = {name: int(fields[name], 16) for name in ("SigBlk", "SigIgn") if name in fields}
        nothing([f"{name} {mask:x}" for name, mask in found.items() if mask], "signal masks")


def _exit_status(lab: Lab, program: str) -> int:
    try:
        return lab.run([program]).result.exit_status
    except ExecError as error:
        return error.exit_status


def _leads_out(lab: Lab, path: str) -> bool:
    """Whether a file of the host is seen from a working directory; refusing it is fine."""
    source = "emit(read('.' + given[0]))"
    try:
        return lab.ask(source, {"process": {"cwd": path}}, given=[lab.marker]) is not None
    except IsolateError:
        return False
