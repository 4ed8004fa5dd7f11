"""What `base` is made of: the host's programs by name, its directories, and its own small files."""

from __future__ import annotations

PROGRAM_DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")

SHELLS = ("sh", "dash", "bash")

# Everyday programs; what the host lacks, base lacks.
PROGRAMS = """
    [ arch awk b2sum base32 base64 basename bunzip2 bzip2 cat chgrp chmod chown chroot chrt cksum
    clear cmp comm cp csplit cut date dd df diff dir dircolors dirname dmesg du echo egrep env
    expand expr factor false fgrep find flock fmt fold free getconf getent getopt grep groups
    gunzip gzip head hostid hostname id install ionice ip join kill less link ln logger logname ls
    lsns md5sum mkdir mkfifo mknod mktemp more mount mountpoint mv nice nl nohup nproc nsenter
    numfmt od paste pathchk pgrep pidof pinky pkill pr printenv printf prlimit ps ptx pwd readlink
    realpath renice rev rm rmdir sed seq setpriv setsid sha1sum sha224sum sha256sum sha384sum
    sha512sum shred shuf sleep sort split ss stat stty sum sync sysctl tac tail tar taskset
    tee test time timeout top touch tput tr true truncate tsort tty umount uname unexpand uniq
    unlink unshare unxz uptime users vdir vmstat w watch wc which who whoami xargs xz yes zcat zstd
""".split()

# Opened by name while programs run: the name service, unwinding when a thread is cancelled.
LIBRARIES = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1")

ROOT_MODE = 0o755  # ids that a user namespace maps must pass

DIRECTORIES = {
    **dict.fromkeys(
        """
        usr usr/bin usr/sbin usr/lib usr/lib64 usr/local usr/local/bin usr/local/sbin usr/share
        dev etc home home/user mnt proc run srv sys var var/cache var/lib var/log
        """.split(),
        0o755,
    ),
    "root": 0o700,
    "tmp": 0o1777,
    "var/tmp": 0o1777,
}

LINKS = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "var/run": "../run",
    "etc/mtab": "../proc/self/mounts",
    "etc/os-release": "../usr/lib/os-release",
}

TEXTS = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "user:x:1000:1000:user:/home/user:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
    ),
    "etc/group": "root:x:0:\ntty:x:5:\nuser:x:1000:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    "etc/hostname": "localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    "etc/resolv.conf": "",
    "etc/shells": "/bin/sh\n",
}

# The host's own, where it has them: place in base, path on the host.
COPIES = {
    "etc/localtime": "/etc/localtime",
    "etc/protocols": "/etc/protocols",
    "etc/services": "/etc/services",
}

OS_RELEASES = ("/etc/os-release", "/usr/lib/os-release")
OS_RELEASE = 'ID=isolate\nNAME="isolate base"\n'

LOCALES = ("C.utf8", "C.UTF-8")  # directories of /usr/lib/locale
TERMINALS = "ansi dumb linux screen screen-256color tmux tmux-256color vt100 xterm xterm-256color"
TERMINFO = ("/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo")
