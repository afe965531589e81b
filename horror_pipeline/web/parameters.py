"""One pydantic model per set of query parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from horror_pipeline.domain import FORECAST_HORIZONS_DAYS, MOVER_SPANS_DAYS, Stage, Target

MAX_TMDB_ID = 2**53 - 1
"""Ids larger than this would lose digits in a browser; TMDB's are below ten million."""

Order = Literal[
    "predicted_popularity", "predicted_vote_average", "popularity_gap", "rating_gap", "surprise_factor", "release_date"
]
Direction = Literal["asc", "desc"]


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _PageParameters(_Parameters):
    limit: int = Field(20, ge=1, le=200, description="Rows on this page.")
    offset: int = Field(0, ge=0, le=1_000_000, description="Rows skipped before this page.")


def _one_of(allowed: tuple[int, ...]) -> AfterValidator:
    def check(number: int) -> int:
        if number not in allowed:
            raise ValueError(f"must be one of {', '.join(map(str, allowed))}")
        return number

    return AfterValidator(check)


class NoParameters(_Parameters):
    """No query parameters: any parameter is refused."""


class PredictionParameters(_PageParameters):
    """Which predictions, in which order, and which page of them."""

    stage: Stage | None = Field(None, description="Only films before, or after, their release.")
    order: Order = Field(
        "predicted_popularity",
        description="Column to sort by; films without a value are left out, as is a `surprise_factor` up to 1.",
    )
    direction: Direction = Field("desc", description="`desc` starts with the largest, or latest.")
    release_month: str | None = Field(
        None,
        pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$",
        description="Only films released in this month.",
        examples=["2026-10"],
    )
    min_votes: int = Field(0, ge=0, le=1_000_000, description="Only films with at least this many votes.")


class SearchParameters(_Parameters):
    """A search by title."""

    query: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f]*$",  # Postgres accepts no NUL in text, and no title has other control characters
        description="Beginnings of words of the title, in any order, without control characters.",
        examples=["thing"],
    )
    limit: int = Field(10, ge=1, le=50, description="Rows returned at most.")


class MovieParameters(_Parameters):
    """How much of a film's history to return."""

    days: int = Field(90, ge=1, le=180, description="Days of history, counted back from today.")


class ComparedParameters(_Parameters):
    """Which films to compare."""

    ids: str = Field(
        pattern=r"^[1-9][0-9]{0,14}(,[1-9][0-9]{0,14}){0,4}$",
        description="TMDB's ids of up to five films, with commas between them.",
        examples=["1091,694"],
    )


class ComparedPageParameters(_Parameters):
    """Which films the page compares, and which title to search for to add another."""

    ids: str = Field("", pattern=r"^([1-9][0-9]{0,14}(,[1-9][0-9]{0,14}){0,4})?$")
    add: str = Field("", max_length=100, pattern=r"^[^\x00-\x1f]*$")


class ComparisonParameters(_Parameters):
    """Which target to compare, over how many films."""

    target: Target = Field("popularity", description="What was predicted.")
    limit: int = Field(400, ge=1, le=1_000, description="Films at most; an even sample where there are more.")


class AccuracyParameters(_Parameters):
    """How many days of outcomes to score."""

    days: int = Field(30, ge=1, le=90, description="Days of outcomes, counted back from the newest.")


class ListsParameters(_Parameters):
    """Which page of the coming films."""

    skip: int = Field(0, ge=0, le=1_000_000)


class TrackParameters(_Parameters):
    """Which forecasts, by how many days they look ahead."""

    horizon: Annotated[int, _one_of(FORECAST_HORIZONS_DAYS)] = Field(
        7, description="Days from the forecast to its target.", json_schema_extra={"enum": list(FORECAST_HORIZONS_DAYS)}
    )


class ForecastParameters(TrackParameters, _PageParameters):
    """Which forecasts, in which order, and which page of them."""

    order: Literal["rise", "fall", "popularity"] = Field(
        "rise", description="Largest relative rise or fall, of films at popularity 1 or more; or highest forecast."
    )
    stage: Stage | None = Field(None, description="Only films before, or after, their release.")


class MoverParameters(_PageParameters):
    """Over how many days popularity changed, in which order to list films, and which page."""

    span: Annotated[int, _one_of(MOVER_SPANS_DAYS)] = Field(
        7, description="Days the change took.", json_schema_extra={"enum": list(MOVER_SPANS_DAYS)}
    )
    order: Literal["breakout", "rise", "fall"] = Field(
        "breakout", description="Most unusual rise for such a film; or largest relative rise or fall."
    )
