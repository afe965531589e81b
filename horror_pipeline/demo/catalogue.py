"""Invented films, people and series, which depend on the seed alone and so never change from day to day.

Each release year is generated independently, so a new year adds films and changes none. The size of a film's audience
(`reach`) and its `quality` depend partly on what clients can know before release and partly on luck.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from random import Random

from horror_pipeline.demo import vocabulary

DEMO_SEED = 1310
FIRST_YEAR = 2010
YEARS_AHEAD = 2
HORROR = 27

GENRES = {
    28: "Action", 12: "Adventure", 16: "Animation", 35: "Comedy", 80: "Crime", 99: "Documentary", 18: "Drama",
    10751: "Family", 14: "Fantasy", 36: "History", 27: "Horror", 10402: "Music", 9648: "Mystery", 10749: "Romance",
    878: "Science Fiction", 10770: "TV Movie", 53: "Thriller", 10752: "War", 37: "Western",
}  # fmt: skip
"""TMDB's movie genres by id."""

# genre: (share of the horror films that have it, its effect on reach, its effect on quality)
GENRE_TRAITS = {
    53: (0.47, 0.20, 0.05), 878: (0.15, 0.25, 0.0), 18: (0.15, -0.10, 0.45), 9648: (0.14, 0.30, 0.25),
    35: (0.13, -0.15, 0.10), 28: (0.11, 0.30, -0.20), 14: (0.08, 0.20, 0.10), 80: (0.04, 0.0, 0.05),
    12: (0.03, 0.25, 0.0), 10749: (0.02, 0.0, 0.1), 10770: (0.02, -0.5, -0.4), 16: (0.015, 0.1, 0.5),
    99: (0.01, -0.8, 0.9), 36: (0.01, 0.1, 0.2), 37: (0.01, -0.1, 0.0),
}  # fmt: skip
# language: (share of the films, name of the language, code of its country, name of its country)
LANGUAGES = {
    "en": (0.76, "English", "US", "United States of America"),
    "es": (0.05, "Spanish", "ES", "Spain"),
    "ja": (0.045, "Japanese", "JP", "Japan"),
    "fr": (0.035, "French", "FR", "France"),
    "ko": (0.03, "Korean", "KR", "South Korea"),
    "de": (0.025, "German", "DE", "Germany"),
    "it": (0.02, "Italian", "IT", "Italy"),
    "hi": (0.02, "Hindi", "IN", "India"),
    "pt": (0.015, "Portuguese", "BR", "Brazil"),
}
MONTH_WEIGHTS = (11, 6, 7, 8, 7, 7, 6, 7, 10, 19, 6, 5)

OTHERS_A_YEAR = 25
"""Films of other genres in each release year; they are needed because TMDB's changes and exports hold all genres."""
DIRECTORS, ACTORS = 420, 1_600
SERIES_A_YEAR, FIRST_SERIES_YEAR, LONGEST_SERIES_YEARS = 8, 2006, 24
WITHDRAWN_ONE_IN, UNDATED_ONE_IN = 29, 150

# These ids are far above TMDB's own, so that none belongs to a real film, person, series or keyword.
FILM_IDS, DIRECTOR_IDS, ACTOR_IDS, SERIES_IDS, KEYWORD_IDS = (
    900_000_000, 910_000_000, 920_000_000, 930_000_000, 940_000_000,
)  # fmt: skip
IDS_A_YEAR = 2_000


@dataclass(frozen=True, slots=True)
class Person:
    """A director or an actor. `draw` affects a film's `reach`, `craft` its `quality`; both are standard normal."""

    id: int
    name: str
    gender: int
    draw: float
    craft: float


@dataclass(frozen=True, slots=True)
class Series:
    """A series of films: `parts` are (release year, number in the series)."""

    id: int
    title: str
    draw: float
    craft: float
    parts: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Film:
    """An invented film. The fields after `cast` are used to compute its daily state, and clients never see them."""

    id: int
    title: str
    original_title: str
    language: str
    plot: str
    tagline: str
    release_date: dt.date | None
    announced_on: dt.date
    withdrawn_on: dt.date | None
    genre_ids: tuple[int, ...]
    runtime_minutes: int
    is_runtime_known_early: bool
    budget_usd: int
    has_imdb_id: bool
    series: Series | None
    keywords: tuple[tuple[int, str], ...]
    directors: tuple[Person, ...]
    cast: tuple[Person, ...]
    reach: float
    interest: float
    quality: float
    rating_luck: float
    days_to_audience: float
    edit_days: int
    edit_phase: int

    @property
    def is_horror(self) -> bool:
        """Return whether Horror is among its genres."""
        return HORROR in self.genre_ids


def random_for(*parts: object) -> Random:
    """Return a generator seeded by the arguments, the same on every machine and day."""
    return Random("|".join(map(str, parts)))  # noqa: S311  # invents films; guards nothing


class Catalogue:
    """All invented films of one seed.

    Args:
        seed: another seed makes other films.
        scale: the share of each year's films to make; 0.05 makes some 150 horror films instead of some 3,000. A larger
            catalog contains all films of a smaller one.
    """

    def __init__(self, seed: int = DEMO_SEED, scale: float = 1.0) -> None:
        self.seed = seed
        self.scale = scale
        self._years: dict[int, tuple[Film, ...]] = {}
        self.series = cache(self._series)

    def known_on(self, day: dt.date) -> Iterator[Film]:
        """Yield the films announced by the day, withdrawn ones too, up to two release years ahead."""
        for year in range(FIRST_YEAR, day.year + YEARS_AHEAD + 1):
            yield from (film for film in self.year(year) if film.announced_on <= day)

    def year(self, year: int) -> tuple[Film, ...]:
        """Return all films of a release year, announced or not, horror first."""
        if year not in self._years:
            horror = min(190, 126 + 4 * (year - FIRST_YEAR))
            counts = ((True, round(horror * self.scale)), (False, round(OTHERS_A_YEAR * self.scale)))
            parts = list(self._parts_of(year))
            self._years[year] = tuple(
                self._film(year, place, is_horror, parts) for is_horror, count in counts for place in range(count)
            )
        return self._years[year]

    @cached_property
    def directors(self) -> tuple[Person, ...]:
        """Return all directors."""
        return tuple(self._person("director", DIRECTOR_IDS + place) for place in range(DIRECTORS))

    @cached_property
    def actors(self) -> tuple[Person, ...]:
        """Return all actors."""
        return tuple(self._person("actor", ACTOR_IDS + place) for place in range(ACTORS))

    def _person(self, role: str, person_id: int) -> Person:
        rng = random_for(self.seed, role, person_id)
        return Person(person_id, vocabulary.person_name(rng), rng.choice((1, 2)), rng.gauss(0, 1), rng.gauss(0, 1))

    def _series(self, number: int) -> Series:
        rng = random_for(self.seed, "series", number)
        year, parts = FIRST_SERIES_YEAR + number // SERIES_A_YEAR, []
        for part in range(1, rng.choice((2, 2, 3, 3, 4, 5, 7, 9)) + 1):
            parts.append((year, part))
            year += rng.choice((1, 2, 2, 3, 4))
        name = vocabulary.series_title(rng)
        return Series(SERIES_IDS + number, name, rng.gauss(0, 0.5), rng.gauss(0, 0.2), tuple(parts))

    def _parts_of(self, year: int) -> Iterator[tuple[Series, int]]:
        first = max(0, year - LONGEST_SERIES_YEARS - FIRST_SERIES_YEAR) * SERIES_A_YEAR
        for number in range(first, (year - FIRST_SERIES_YEAR + 1) * SERIES_A_YEAR):
            series = self.series(number)
            yield from ((series, part) for part_year, part in series.parts if part_year == year)

    def _film(self, year: int, place: int, is_horror: bool, parts: list[tuple[Series, int]]) -> Film:
        rng = random_for(self.seed, year, place, is_horror)
        # Every fifth horror film belongs to a series, until the year has no more; so even a small catalog has some.
        turn, is_turn = divmod(place, 5)
        series, part = parts[turn] if is_horror and is_turn == 2 and turn < len(parts) else (None, 1)
        language = "en" if series else rng.choices(list(LANGUAGES), [share for share, *_ in LANGUAGES.values()])[0]
        title = vocabulary.sequel_title(rng, series.title, part) if series else vocabulary.title(rng)
        if not is_horror:
            title = f"{title} (Not Scary)"
        released = _release_date(rng, year)
        announced, withdrawn = _known_dates(rng, released, place)
        genre_ids = _genre_ids(rng, is_horror)
        directors = tuple(rng.sample(self.directors, 2 if rng.random() < 0.06 else 1))
        cast = tuple(rng.sample(self.actors, rng.randint(3, 9)))
        budget = math.exp(rng.gauss(math.log(1.5e6), 1.3))
        runtime = max(61, round(rng.gauss(93 + 5 * math.log10(budget / 1e6), 11)))
        reach, quality = _prospects(rng, released.month, language, genre_ids, directors, cast, budget, runtime)
        if series:
            reach += 1.0 + series.draw - 0.12 * (part - 1)
            quality += series.craft - 0.15 * (part - 1)
        return Film(
            id=FILM_IDS + (year - 2000) * IDS_A_YEAR + place + (0 if is_horror else IDS_A_YEAR // 2),
            title=title,
            original_title=vocabulary.original_title(rng, language, title),
            language=language,
            plot=vocabulary.plot(rng) if rng.random() < 0.97 else "",
            tagline=rng.choice(vocabulary.TAGLINES) if rng.random() < 0.6 else "",
            release_date=None if place % UNDATED_ONE_IN == UNDATED_ONE_IN // 2 else released,
            announced_on=announced,
            withdrawn_on=withdrawn,
            genre_ids=genre_ids,
            runtime_minutes=runtime if rng.random() < 0.95 else 0,
            is_runtime_known_early=rng.random() < 0.25,
            budget_usd=int(budget) // 1000 * 1000 if rng.random() < 0.3 + 0.3 * (budget > 2e6) else 0,
            has_imdb_id=rng.random() < 0.94,
            series=series,
            keywords=_keywords(rng),
            directors=directors,
            cast=cast,
            reach=reach,
            interest=rng.gauss(0, 0.2),
            quality=quality,
            rating_luck=rng.gauss(0, 1),
            days_to_audience=rng.uniform(40, 300),
            edit_days=rng.randint(45, 150),
            edit_phase=rng.randint(0, 149),
        )


def _release_date(rng: Random, year: int) -> dt.date:
    month = rng.choices(range(1, 13), MONTH_WEIGHTS)[0]
    return dt.date(year, month, rng.randint(1, 28))


def _known_dates(rng: Random, released: dt.date, place: int) -> tuple[dt.date, dt.date | None]:
    """Return the day a film is first listed, two years ahead at most, and the day it is withdrawn, if ever."""
    announced = released - dt.timedelta(days=rng.randint(60, 900))
    announced = max(announced, dt.date(released.year - YEARS_AHEAD, 1, 1))
    withdrawn = dt.date(released.year, 1, 1) + dt.timedelta(days=rng.randrange(365))
    if place % WITHDRAWN_ONE_IN != WITHDRAWN_ONE_IN // 2:
        return announced, None
    return min(announced, withdrawn - dt.timedelta(days=60)), withdrawn


def _genre_ids(rng: Random, is_horror: bool) -> tuple[int, ...]:
    chosen = [genre for genre, (share, _, _) in GENRE_TRAITS.items() if rng.random() < share]
    if is_horror:
        chosen.insert(rng.randint(0, len(chosen)), HORROR)
    return tuple(chosen) or (18,)


def _keywords(rng: Random) -> tuple[tuple[int, str], ...]:
    chosen = rng.sample(range(len(vocabulary.KEYWORDS)), rng.choice((0, 0, 1, 2, 3, 4, 6)))
    return tuple((KEYWORD_IDS + place, vocabulary.KEYWORDS[place]) for place in chosen)


def _prospects(
    rng: Random,
    month: int,
    language: str,
    genre_ids: tuple[int, ...],
    directors: tuple[Person, ...],
    cast: tuple[Person, ...],
    budget: float,
    runtime: int,
) -> tuple[float, float]:
    """Return a film's reach (linear in log audience) and its quality (on TMDB's scale) from features and luck."""
    traits = [GENRE_TRAITS[genre] for genre in genre_ids if genre in GENRE_TRAITS]
    fame = max(person.draw for person in cast) - 1.3
    reach = (
        0.5 * directors[0].draw
        + 0.25 * fame
        + 0.5 * (math.log(budget) - math.log(1.5e6)) / 1.3
        + (0.15 if language == "en" else -0.6)
        + {10: 0.45, 9: 0.2, 1: -0.35, 2: -0.2}.get(month, 0)
        + 1.8 * sum(effect for _, effect, _ in traits)
        + 0.025 * (runtime - 93)
        - 0.25
        + rng.gauss(0, 0.7)
    )
    quality = (
        5.0
        + 0.35 * directors[0].craft
        + 0.35 * reach
        + (0 if language == "en" else 0.5)
        + 0.02 * (runtime - 93)
        + 1.3 * sum(effect for _, _, effect in traits)
        + rng.gauss(0, 0.15)
    )
    return reach, quality
