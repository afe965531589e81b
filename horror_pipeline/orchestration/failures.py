"""The cause of a failure in one line, from what Dagster records about an exception."""

from __future__ import annotations

import re
from typing import Protocol


class ErrorInfo(Protocol):
    """What Dagster records about an exception."""

    @property
    def message(self) -> str: ...  # noqa: D102

    @property
    def cls_name(self) -> str | None: ...  # noqa: D102

    @property
    def cause(self) -> ErrorInfo | None: ...  # noqa: D102


def is_interruption(error: ErrorInfo | None) -> bool:
    """Whether a signal caused a failure: Dagster reports Ctrl-C, SIGTERM and SIGHUP as failures of the running step."""
    while error is not None:
        if error.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt"):
            return True
        error = error.cause
    return False


def root_message(error: ErrorInfo | None) -> str:
    """Return the message of the innermost cause, without its class and traceback."""
    while error is not None and error.cause is not None:
        error = error.cause
    lines = error.message.strip().splitlines() if error is not None else []
    return re.sub(r"^[\w.]+: ", "", lines[0]) if lines else "failed without a message"
