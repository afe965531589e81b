"""The account that the embedded Postgres runs as: Postgres refuses to run as root, so root runs it as somebody else.

If data or programs are below a folder that the account cannot enter (like root's own home folder, mode 0700), the
programs keep two of root's capabilities, with which they read and write regardless of file modes. The alternative would
be to open that folder to everybody.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from horror_pipeline.errors import WarehouseError

ACCOUNTS = ("postgres", "nobody")
"""Accounts that root tries, in this order."""

ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
"""The server's whole environment: neither the host's locale nor PG* variables change what it does."""

_FILE_CAPABILITIES = "-all,+dac_override,+dac_read_search"
"""Argument of `setpriv`: drop all capabilities but the two that allow reading and writing regardless of file modes."""


@dataclass(frozen=True)
class Account:
    """The user who runs the server: the `uid` and `gid` to switch to, or None for the present user."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @classmethod
    def choose(cls, data: Path) -> Account:
        """Choose the present user or, for root, the owner of existing data, else the first of `ACCOUNTS` that exists.

        Raises:
            WarehouseError: the present user is root, and there is no other account.
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
        """Make the account the owner of a folder, unless it is the present user."""
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
            reaches: files and folders that the program has to read.
            stdin: text for its standard input.
            output: where its output goes; by default it is returned.
            timeout: seconds.

        Raises:
            WarehouseError: the program did not end in time, or this process cannot switch to the account.
        """
        try:
            return subprocess.run(  # noqa: S603  # our own programs, no shell
                [*self._switch(reaches), *command],
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
            )
        except subprocess.TimeoutExpired:
            raise WarehouseError(f"{Path(command[0]).name} did not finish within {timeout:.0f} seconds") from None
        except (FileNotFoundError, PermissionError):
            raise WarehouseError(
                f"Postgres refuses to run as root, and running it as {self.name} instead failed",
                "run as an ordinary user, or set DATABASE_URL",
            ) from None

    def _switch(self, reaches: Sequence[Path]) -> list[str]:
        """Return the words to put before a command so that it runs as the account."""
        if self.uid is None:
            return []
        switch = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        readable = 'for path do test -r "$path" || exit 1; done'
        probe = [*switch, "/bin/sh", "-c", readable, "sh", *map(str, reaches)]
        if subprocess.run(probe, cwd="/", env=ENVIRONMENT, check=False).returncode == 0:  # noqa: S603
            return switch
        return [*switch, f"--inh-caps={_FILE_CAPABILITIES}", f"--ambient-caps={_FILE_CAPABILITIES}"]
