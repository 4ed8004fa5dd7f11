"""Architectures: what the kernel, libseccomp, Docker and OCI call them, and which run which."""

from __future__ import annotations

_64BIT = 0x80000000
_LITTLE = 0x40000000


class Arch:
    """One ABI: libseccomp's token, Docker's name, and whether calls hide behind multiplexers."""

    __slots__ = ("audit", "docker", "multiplexed", "token")

    def __init__(
        self, token: int, docker: str, *, multiplexed: bool = False, audit: int | None = None
    ) -> None:
        self.token = token
        self.docker = docker
        # socketcall(2) and ipc(2) keep their arguments behind a pointer, where no filter sees them.
        self.multiplexed = multiplexed
        self.audit = token if audit is None else audit  # AUDIT_ARCH_* of linux/audit.h


ARCHES = {
    "SCMP_ARCH_X86": Arch(3 | _LITTLE, "x86", multiplexed=True),
    "SCMP_ARCH_X86_64": Arch(62 | _64BIT | _LITTLE, "amd64"),
    "SCMP_ARCH_X32": Arch(62 | _LITTLE, "x32", audit=62 | _64BIT | _LITTLE),
    "SCMP_ARCH_ARM": Arch(40 | _LITTLE, "arm"),
    "SCMP_ARCH_AARCH64": Arch(183 | _64BIT | _LITTLE, "arm64"),
    "SCMP_ARCH_LOONGARCH64": Arch(258 | _64BIT | _LITTLE, "loong64"),
    "SCMP_ARCH_M68K": Arch(4, "m68k", multiplexed=True),
    "SCMP_ARCH_MIPS": Arch(8, "mips", multiplexed=True),
    "SCMP_ARCH_MIPS64": Arch(8 | _64BIT, "mips64"),
    "SCMP_ARCH_MIPS64N32": Arch(8 | _64BIT | 0x20000000, "mips64n32"),
    "SCMP_ARCH_MIPSEL": Arch(8 | _LITTLE, "mipsel", multiplexed=True),
    "SCMP_ARCH_MIPSEL64": Arch(8 | _64BIT | _LITTLE, "mipsel64"),
    "SCMP_ARCH_MIPSEL64N32": Arch(8 | _64BIT | _LITTLE | 0x20000000, "mipsel64n32"),
    "SCMP_ARCH_PARISC": Arch(15, "parisc"),
    "SCMP_ARCH_PARISC64": Arch(15 | _64BIT, "parisc64"),
    "SCMP_ARCH_PPC": Arch(20, "ppc", multiplexed=True),
    "SCMP_ARCH_PPC64": Arch(21 | _64BIT, "ppc64", multiplexed=True),
    "SCMP_ARCH_PPC64LE": Arch(21 | _64BIT | _LITTLE, "ppc64le", multiplexed=True),
    "SCMP_ARCH_RISCV64": Arch(243 | _64BIT | _LITTLE, "riscv64"),
    "SCMP_ARCH_S390": Arch(22, "s390", multiplexed=True),
    "SCMP_ARCH_S390X": Arch(22 | _64BIT, "s390x", multiplexed=True),
    "SCMP_ARCH_SH": Arch(42 | _LITTLE, "sh", multiplexed=True),
    "SCMP_ARCH_SHEB": Arch(42, "sheb", multiplexed=True),
}

# uname(2)'s machine: its own ABI, and the foreign ones that its kernel may run.
_MACHINES = {
    "x86_64": ("SCMP_ARCH_X86_64", ("SCMP_ARCH_X86", "SCMP_ARCH_X32")),
    "aarch64": ("SCMP_ARCH_AARCH64", ("SCMP_ARCH_ARM",)),
    "loongarch64": ("SCMP_ARCH_LOONGARCH64", ()),
    "ppc64le": ("SCMP_ARCH_PPC64LE", ()),
    "riscv64": ("SCMP_ARCH_RISCV64", ()),
    "s390x": ("SCMP_ARCH_S390X", ("SCMP_ARCH_S390",)),
}


def native(machine: str) -> str:
    """The ABI of this machine, by libseccomp's name. Raises OSError (ENOSYS) for an unknown one."""
    if machine not in _MACHINES:
        raise OSError(38, f"seccomp filters for {machine} are not supported here")
    return _MACHINES[machine][0]


def foreign(machine: str) -> tuple[str, ...]:
    """The other ABIs that the kernel of this machine may run."""
    return _MACHINES[machine][1] if machine in _MACHINES else ()


def compat(machine: str) -> tuple[str, ...]:
    """The 32-bit ABI of this machine's usual 32-bit programs; x32 is not one."""
    return tuple(name for name in foreign(machine) if name != "SCMP_ARCH_X32")
