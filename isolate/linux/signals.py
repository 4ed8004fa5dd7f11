"""Signal masks, dispositions and signalfd(2), without the signal module (which imports enum)."""

from __future__ import annotations

import errno
import os
import struct

from isolate.linux._libc import (
    buffer,
    c_char_p,
    c_int,
    c_size_t,
    c_void_p,
    function,
    syscall,
)

SIGHUP = 1
SIGINT = 2
SIGQUIT = 3
SIGKILL = 9
SIGUSR1 = 10
SIGUSR2 = 12
SIGTERM = 15
SIGCHLD = 17
SIGCONT = 18
SIGSTOP = 19
SIGTSTP = 20
SIGWINCH = 28

# Signals whose default action ends a process, of those that people send; signal(7).
ENDING = (SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM)

FORWARDED = (SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGCONT)

_SIG_BLOCK = 0
_SIG_SETMASK = 2
_SIG_DFL = 0
_SET_BYTES = 128  # sizeof(sigset_t) in glibc and musl
_KERNEL_SET_BYTES = 8
_DEFAULT_ACTION = bytes(32)  # the kernel's struct sigaction: SIG_DFL, no flags, an empty mask
_LAST = 64
_SFD_CLOEXEC = os.O_CLOEXEC
_SFD_NONBLOCK = os.O_NONBLOCK
_SIGINFO_BYTES = 128

_sigprocmask = function("sigprocmask", c_int, c_char_p, c_char_p)
_signal = function("signal", c_int, c_void_p, restype=c_void_p)
_rt_sigaction = syscall("rt_sigaction", c_int, c_char_p, c_void_p, c_size_t)
_signalfd = function("signalfd", c_int, c_char_p, c_int)
_sigwaitinfo = function("sigwaitinfo", c_char_p, c_char_p)


def set_of(*numbers: int) -> bytes:
    """A sigset_t."""
    bits = 0
    for number in numbers:
        bits |= 1 << (number - 1)
    return bits.to_bytes(_SET_BYTES, "little")


EVERY = set_of(*range(1, _LAST + 1))


def block(numbers: bytes) -> bytes:
    """Block signals in this thread; the mask that held before."""
    before = buffer(_SET_BYTES)
    _sigprocmask(_SIG_BLOCK, numbers, before)
    return before.raw


def set_mask(mask: bytes) -> None:
    """Set this thread's mask."""
    _sigprocmask(_SIG_SETMASK, mask, None)


def set_default(number: int) -> None:
    """Let a signal have its default action again."""
    _signal(number, _SIG_DFL)


def reset_all() -> None:
    """Default dispositions and an empty mask: what a program expects to start with.

    Ignored signals would survive execve(2), and Python ignores SIGPIPE and SIGXFSZ. The kernel is
    asked, not libc: it keeps 32 and 33 for its threads, touches them for nobody, and whoever
    started us may have had them ignored.
    """
    for number in range(1, _LAST + 1):
        try:
            _rt_sigaction(number, _DEFAULT_ACTION, None, _KERNEL_SET_BYTES)
        except OSError as error:
            if error.errno != errno.EINVAL:  # SIGKILL, SIGSTOP
                raise
    set_mask(bytes(_SET_BYTES))


def signalfd(numbers: bytes) -> int:
    """A descriptor that yields blocked signals; close-on-exec, non-blocking."""
    return _signalfd(-1, numbers, _SFD_CLOEXEC | _SFD_NONBLOCK)


def read_signals(descriptor: int) -> list[int]:
    """The numbers of the signals that have arrived at a signalfd."""
    try:
        data = os.read(descriptor, _SIGINFO_BYTES * 16)
    except BlockingIOError:
        return []
    return [struct.unpack_from("I", data, at)[0] for at in range(0, len(data), _SIGINFO_BYTES)]


def wait_for(numbers: bytes) -> int:
    """Wait for one of the blocked signals; its number."""
    while True:
        try:
            return _sigwaitinfo(numbers, None)
        except InterruptedError:
            continue
