"""The exceptions that a user may see. Each states a problem and, if there is one, a remedy.

    HorrorError
    ├── SettingsError               a setting is wrong or missing
    ├── WarehouseError              Postgres cannot be reached, or holds something this code cannot use
    │   └── SchemaError             the database is at another schema version
    └── TmdbError                   TMDB did not answer as it should
        ├── CredentialError         the credential was refused or is malformed: the run stops
        ├── NotFoundError           the record no longer exists at TMDB
        ├── BadRequestError         TMDB rejected the request itself: a mistake of ours
        ├── UnavailableError        TMDB still failed after every retry
        └── ExportUnavailableError  a day's id export is not out yet, has expired, or cannot be trusted

Exception types that several layers share are defined here. Whoever raises one removes credentials from its message.
A pair such as 401/7 is an HTTP status and TMDB's own status code.
"""

from collections.abc import Sequence


class HorrorError(Exception):
    """Base of all errors that this package raises on purpose. `str()` is one line for a person.

    Args:
        problem: what is wrong, without a final period.
        remedy: what the reader can do about it; empty if nothing can be done.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(problem, remedy)

    def __str__(self) -> str:
        """Join problem and remedy into one line."""
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class SettingsError(HorrorError):
    """A setting is missing, malformed or contradicts another.

    Args:
        problem: as in `HorrorError`.
        remedy: as in `HorrorError`.
        details: one line for each wrong setting; by default, only the problem.
    """

    def __init__(self, problem: str, remedy: str = "", *, details: Sequence[str] = ()) -> None:
        self.details = tuple(details) or (problem,)
        super().__init__(problem, remedy)


class WarehouseError(HorrorError):
    """Postgres cannot be reached or refuses what the pipeline needs."""


class SchemaError(WarehouseError):
    """The database's schema version is not the one this code was written for."""


class TmdbError(HorrorError):
    """TMDB gave no answer, or one with which the pipeline cannot continue."""


class CredentialError(TmdbError):
    """TMDB refused the credential (401/7, 401/10, 403/45), or it has the form of neither a v3 key nor a v4 token."""


class NotFoundError(TmdbError):
    """The record was removed from TMDB (404/6, 404/34)."""


class BadRequestError(TmdbError):
    """TMDB rejected the request itself (400, 422, 500/44): a bug on our side, never retried."""


class UnavailableError(TmdbError):
    """TMDB could not be reached, or kept failing, through every retry."""


class ExportUnavailableError(TmdbError):
    """A day's id export is not published yet, has expired, or its content cannot be trusted."""
