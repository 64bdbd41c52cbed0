"""How a child process is born, watched and ended: with its parent, and as an ordinary user where it must be.

Owns: PDEATHSIG, the user namespace for programs that refuse root, the life of a server working in a folder,
what of a long-lived process the collector leaves alone.
Does not own: which server (backend/embedded.py) and what is restarted when (backend/up.py).
Standard library only.
"""

import contextlib
import ctypes
import functools
import gc
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

CLONE_NEWUSER, PR_SET_PDEATHSIG = 0x10000000, 1  # linux/sched.h, linux/prctl.h
START_TIMEOUT_S, STOP_TIMEOUT_S = 60.0, 20.0
SOCKET_PATH_MAX = 100  # bytes; the kernel takes 108 on Linux, 104 on macOS
_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded before any fork


def die_with_parent(death_signal: int, first: Callable[[], None] | None = None) -> Callable[[], None]:
    """A preexec_fn: run `first`, then ask Linux for `death_signal` at the end, however it ends, of our thread.

    In this order: a change of credentials, as in entering a user namespace, clears the request.
    """
    parent = os.getpid()

    def in_child() -> None:
        if first:
            first()
        if sys.platform == "linux":
            _LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:  # it ended before we asked
                os._exit(1)

    return in_child


def _enter_user_namespace(uid: int, gid: int, seen_as: int) -> None:
    """In the child: it looks like the ordinary user `seen_as` to itself; its files stay those of `uid`."""
    if _LIBC.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{seen_as} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{seen_as} {gid} 1")


@functools.cache
def ordinary_user() -> dict[str, Any]:
    """Popen keywords for programs that refuse root and uids without a passwd entry, as PostgreSQL does.

    A user namespace where the host allows it, else the user nobody. EMBEDDED_USERNS=0 behaves like a host
    that forbids namespaces (Docker's default profile does). RuntimeError when neither is possible.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid and uid in {entry.pw_uid for entry in pwd.getpwall()}:
        return {}
    nobody = pwd.getpwnam("nobody")
    if sys.platform == "linux" and os.environ.get("EMBEDDED_USERNS") != "0":
        enter = functools.partial(_enter_user_namespace, uid, gid, nobody.pw_uid)
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["true"], preexec_fn=enter, check=True)
            return {"preexec_fn": enter}
    if uid:
        raise RuntimeError(
            f"PostgreSQL cannot run as uid {uid}, which has no passwd entry, and user namespaces are "
            "forbidden here. Set DATABASE_URL to a server of your own."
        )
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def world_may_enter(folder: Path) -> bool:
    return all(step.stat().st_mode & 0o001 for step in (folder, *folder.parents) if step.is_dir())


def outside_homes(*key: object) -> Path:
    """A folder of ours below the temporary folder, the same for the same key, that everybody may enter."""
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir(), f"yijiantong-{digest}")
    folder.mkdir(exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise RuntimeError(f"{folder} belongs to somebody else. Remove it, or set DATABASE_URL.")
    folder.chmod(0o755)
    return folder


def copied_outside_homes(packages: list[Path], program: Path) -> Path:
    """`program` (inside the first package) from a copy of the packages that everybody may read."""
    stamp = program.stat()
    folder = outside_homes(packages, stamp.st_size, stamp.st_mtime_ns)
    for package in packages:
        copy = folder / package.name
        if package.is_dir() and not copy.exists():
            part = folder / f"{package.name}.{os.getpid()}"
            shutil.copytree(package, part, symlinks=True)
            part.rename(copy)  # never half a copy under the final name
    return folder / program.relative_to(packages[0].parent)


def give(folder: Path, uid: int, gid: int) -> None:
    """Make `folder` and all below it theirs, if its top is not: the last run may have been another user's."""
    if folder.stat().st_uid != uid:
        for path in (folder, *folder.rglob("*")):
            os.lchown(path, uid, gid)


class Server:
    """One child process working in `folder`. `url` stays the same over restarts."""

    stop_signal: ClassVar[signal.Signals]
    socket_name: ClassVar[str]
    pid_name: ClassVar[str]
    program: Path

    def __init__(self, folder: Path, user: dict[str, Any]) -> None:
        self.folder, self.user = folder, user
        self.child: subprocess.Popen[bytes] | None = None
        self.socket_dir = folder
        # it goes into URLs that not every client unquotes
        plain = re.fullmatch(r"[\w./-]+", str(folder), re.ASCII)
        if not plain or len(str(folder / self.socket_name)) > SOCKET_PATH_MAX:
            self._short = tempfile.TemporaryDirectory(prefix="yjt-", ignore_cleanup_errors=True)
            self.socket_dir = Path(self._short.name)

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def start(self) -> None:
        """Returns when the server answers; RuntimeError with the end of its log when it does not."""
        self._stop_stale()
        self._prepare()
        log = self.folder.parent / f"{self.folder.name}.log"
        with log.open("ab") as sink:
            self.child = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,  # Ctrl-C at the terminal is for the supervisor alone
                **self.user | {"preexec_fn": die_with_parent(self.stop_signal, self.user.get("preexec_fn"))},
            )
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if not self.running or time.monotonic() > give_up_at:
                self.stop()
                end_of_log = log.read_text("utf-8", "replace")[-800:]
                raise RuntimeError(f"{self.program.name} did not start: {end_of_log}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends the server and waits for it; safe to call twice."""
        if self.child is None or not self.running:
            return
        self.child.send_signal(self.stop_signal)
        try:
            self.child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def _recorded_pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int((self.folder / self.pid_name).read_text().split()[0])
        return None

    def _stop_stale(self) -> None:
        """A supervisor that was killed may have left its server behind: end that one, and nobody else's."""
        pid = self._recorded_pid()
        if pid is None or not self._runs_here(pid):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, self.stop_signal)
        give_up_at = time.monotonic() + STOP_TIMEOUT_S
        while self._runs_here(pid):
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"{self.program.name}, pid {pid}, keeps {self.folder}: end it by hand.")
            time.sleep(0.02)

    def _runs_here(self, pid: int) -> bool:
        """Whether `pid` is this program on this folder: after a reboot a pid may be anybody's."""
        if sys.platform == "linux":
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                return False
        else:
            ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
            command = subprocess.run(ps, capture_output=True, check=False).stdout.strip() + b" "
        program, ours, _ = command.partition(b" " + os.fsencode(self.folder) + b" ")
        return bool(ours) and self.program.name.encode() in program


def spare_the_collector() -> None:
    """A collection walks over what work makes, not over all of Django, and not after every seven hundredth object."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20)
