"""The account that the embedded Postgres runs as: Postgres refuses to run as root, so root runs it as somebody else.

Where data or programs lie below a folder that the account cannot enter (like root's own home folder, mode 0700), the
programs keep two of root's capabilities, which read and write regardless of file modes. The alternative would be to
open that folder to everybody.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from horror_pipeline.errors import WarehouseError

ACCOUNTS = ("postgres", "nobody")
"""Accounts that root tries, in this order."""

ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
"""The server's whole environment: neither the host's locale nor PG* variables change what it does."""

# Linux's numbers, from <linux/prctl.h>, <linux/securebits.h> and <linux/capability.h>.
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


@dataclass(frozen=True)
class Account:
    """Who runs the server: the `uid` and `gid` to switch to, or None to stay who we are."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @classmethod
    def choose(cls, data: Path) -> Account:
        """Choose the owner of existing data, else the first of `ACCOUNTS`; where we are not root, ourselves.

        Raises:
            WarehouseError: we are root and there is no other account.
        """
        if os.geteuid() != 0:
            return cls(name=str(os.geteuid()))
        if data.exists() and (owner := data.stat()).st_uid != 0:
            return cls(name=str(owner.st_uid), uid=owner.st_uid, gid=owner.st_gid)
        for name in ACCOUNTS:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
        raise WarehouseError(
            f"Postgres refuses to run as root, and there is no account {' or '.join(ACCOUNTS)} to run it as",
            "run as an ordinary user, or set DATABASE_URL",
        )

    def own(self, path: Path) -> None:
        """Give a folder to the account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def run(
        self,
        command: Sequence[str],
        *,
        reaches: Sequence[Path],
        stdin: str | None = None,
        output: IO[bytes] | int = subprocess.PIPE,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as the account, away from the terminal's signals.

        Args:
            command: program and arguments.
            reaches: files and folders that it has to read.
            stdin: text for its standard input.
            output: where its output goes; by default it is returned.
            timeout: seconds.

        Raises:
            WarehouseError: it did not end in time, or we may not switch to the account.
        """
        try:
            return subprocess.run(  # noqa: S603  # our own programs, no shell
                command,
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=ENVIRONMENT,
                cwd="/",
                umask=0o077,
                start_new_session=True,
                timeout=timeout,
                check=False,
                preexec_fn=self._switch(reaches),  # subprocess's user= would drop the capabilities
            )
        except subprocess.TimeoutExpired:
            raise WarehouseError(f"{Path(command[0]).name} did not finish within {timeout:.0f} seconds") from None
        except (subprocess.SubprocessError, PermissionError):
            raise WarehouseError(
                f"Postgres refuses to run as root, and running it as {self.name} instead failed",
                "run as an ordinary user, or set DATABASE_URL",
            ) from None

    def _switch(self, reaches: Sequence[Path]) -> Callable[[], None] | None:
        """Return what the child calls before it starts the program; None where there is nothing to switch."""
        if self.uid is None or self.gid is None:
            return None
        uid, gid = self.uid, self.gid
        readable = 'for path do test -r "$path" || exit 1; done'
        probe = ["/bin/sh", "-c", readable, "sh", *map(str, reaches)]
        done = subprocess.run(probe, user=uid, group=gid, extra_groups=[], cwd="/", check=False)  # noqa: S603
        keep = done.returncode != 0
        libc = ctypes.CDLL(None, use_errno=True) if keep else None

        def switch() -> None:
            if libc is not None:
                # Without the fix-up, the change of user leaves the capabilities alone, and access(2) obeys them.
                _check(libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            if libc is not None:
                _keep_only_file_capabilities(libc)

        return switch


def _keep_only_file_capabilities(libc: ctypes.CDLL) -> None:
    """Drop every capability but the two for files, and pass those on to the programs started from here."""
    kept = 1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low_and_high = (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)  # effective, permitted, inheritable
    _check(libc.capset(header, low_and_high))
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
