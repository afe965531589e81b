"""The cause of a failure in one line, out of what Dagster keeps of an exception."""

from __future__ import annotations

import re
from typing import Protocol


class ErrorInfo(Protocol):
    """What Dagster keeps of an exception."""

    @property
    def message(self) -> str: ...  # noqa: D102

    @property
    def cause(self) -> ErrorInfo | None: ...  # noqa: D102


def root_message(error: ErrorInfo | None) -> str:
    """Return the message of the innermost cause, without its class and traceback."""
    while error is not None and error.cause is not None:
        error = error.cause
    lines = error.message.strip().splitlines() if error is not None else []
    return re.sub(r"^[\w.]+: ", "", lines[0]) if lines else "failed without a message"
