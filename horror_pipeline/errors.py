"""The exceptions a person may meet, each with a message that says what to do.

    HorrorError
    ├── SettingsError          a setting is wrong or missing
    ├── WarehouseError         Postgres cannot be reached, or holds something this code cannot use
    │   └── SchemaError        the database is at another schema version
    └── TmdbError              TMDB did not answer as it should
        ├── CredentialError    refused or malformed credential: stop the run
        ├── Gone               the record no longer exists at TMDB
        ├── BadRequest         our own mistake: TMDB rejected the request itself
        ├── Unavailable        still failing after every retry
        └── ExportUnavailable  a day's id export is not out yet, expired, or not to be trusted

What belongs here: exception types shared by several layers. What does not: handling them.
A message never holds a credential: whoever raises redacts first.
"""


class HorrorError(Exception):
    """Base of all errors this package raises on purpose; `str()` is one line for a person."""


class SettingsError(HorrorError):
    """A setting is missing, malformed or contradicts another."""


class WarehouseError(HorrorError):
    """Postgres cannot be reached or refuses what the pipeline needs."""


class SchemaError(WarehouseError):
    """The database's schema version is not the one this code was written for."""


class TmdbError(HorrorError):
    """TMDB answered in a way the pipeline cannot go on from."""


class CredentialError(TmdbError):
    """TMDB refused the credential (401/7, 401/10, 403/45), or its form is neither v3 key nor v4 token."""


class Gone(TmdbError):
    """The record was removed from TMDB (404/6, 404/34)."""


class BadRequest(TmdbError):
    """TMDB rejected the request itself (400, 422, 500/44): a bug on our side, never retried."""


class Unavailable(TmdbError):
    """TMDB could not be reached, or kept failing, through every retry."""


class ExportUnavailable(TmdbError):
    """A day's id export is not published yet, has expired, or its content cannot be trusted."""
