from __future__ import annotations

import dataclasses
import datetime as dt

from horror_pipeline.demo import daily_state
from horror_pipeline.demo.catalogue import FILM_IDS, GENRES, HORROR, Catalogue
from horror_pipeline.demo.routes import DemoTmdb
from horror_pipeline_tests.demo.conftest import TODAY


def test_the_same_seed_makes_the_same_films_and_another_seed_others() -> None:
    films = Catalogue(seed=1, scale=0.1).year(2024)
    assert Catalogue(seed=1, scale=0.1).year(2024) == films
    assert {film.title for film in Catalogue(seed=2, scale=0.1).year(2024)} != {film.title for film in films}


def test_a_film_does_not_depend_on_the_day_it_is_looked_at() -> None:
    early = {film.id: film for film in Catalogue(scale=0.1).known_on(dt.date(2024, 5, 1))}
    late = {film.id: film for film in Catalogue(scale=0.1).known_on(dt.date(2027, 5, 1))}
    assert early.items() <= late.items()
    assert len(late) > len(early)


def test_a_film_does_not_depend_on_the_size_of_the_catalogue(tmdb: DemoTmdb) -> None:
    small = Catalogue(scale=0.05).year(2022)
    large = {film.id: film for film in tmdb.catalogue.year(2022)}
    assert 5 <= len(small) <= 12
    assert all(large[film.id] == film for film in small)


def test_sizes_are_those_promised(tmdb: DemoTmdb) -> None:
    horror = [film for film in tmdb.catalogue.known_on(TODAY) if film.is_horror]
    released = [film for film in horror if film.release_date and film.release_date <= TODAY]
    upcoming = [film for film in horror if film.release_date and film.release_date > TODAY]
    assert 2_700 <= len(horror) <= 3_300
    assert sum(daily_state.vote_count(film, TODAY) >= 10 for film in released) >= 2_000
    assert sum(daily_state.vote_count(film, TODAY) < 10 for film in released) >= 100
    assert 150 <= len(upcoming) <= 400
    assert {film.release_date.year for film in upcoming if film.release_date} == {2026, 2027, 2028}
    assert sum(film.release_date is None for film in horror) >= 5
    assert sum(daily_state.is_gone(film, TODAY) for film in horror) >= 20
    assert sum(film.series is not None for film in horror) >= 300


def test_nothing_could_be_taken_for_real_data(tmdb: DemoTmdb) -> None:
    films = list(tmdb.catalogue.known_on(TODAY))
    ids = [film.id for film in films]
    assert len(set(ids)) == len(ids)
    assert min(ids) > FILM_IDS
    for film in films:
        row_ids = [person.id for person in (*film.directors, *film.cast)] + [keyword for keyword, _ in film.keywords]
        assert min(row_ids) > FILM_IDS


def test_horror_films_have_the_horror_genre_and_known_genres_only(tmdb: DemoTmdb) -> None:
    for film in tmdb.catalogue.known_on(TODAY):
        assert (HORROR in film.genre_ids) == (not film.title.endswith("(Not Scary)"))
        assert len(set(film.genre_ids)) == len(film.genre_ids) >= 1
        assert set(film.genre_ids) <= GENRES.keys()


def test_parts_of_a_series_are_numbered_in_the_order_of_release(tmdb: DemoTmdb) -> None:
    series = {film.series.id: film.series for film in tmdb.catalogue.known_on(TODAY) if film.series}
    for one in series.values():
        assert [number for _, number in one.parts] == list(range(1, len(one.parts) + 1))
        assert [year for year, _ in one.parts] == sorted({year for year, _ in one.parts})


def test_no_film_is_known_more_than_two_years_ahead() -> None:
    catalogue = Catalogue(scale=0.2)
    for year in (2012, 2027, 2028):
        for film in catalogue.year(year):
            assert film.announced_on >= dt.date(year - 2, 1, 1) - dt.timedelta(days=60)


def test_a_film_cannot_be_changed(tmdb: DemoTmdb) -> None:
    film = tmdb.catalogue.year(2020)[0]
    assert dataclasses.replace(film) == film
    assert film.__dataclass_params__.frozen  # type: ignore[attr-defined]
