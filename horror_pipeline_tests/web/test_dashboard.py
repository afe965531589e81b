"""The dashboard in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect
from sqlalchemy import URL, Engine, create_engine, text

from horror_pipeline.web.app import create_app
from horror_pipeline_tests.web import rows
from horror_pipeline_tests.web.browser import Watched, chromium, served

HOSTILE = '<img src=x onerror="document.title=1"><b>Bold</b> & "quoted" </script><script>document.title=2</script>'
AXE = files("axe_playwright_python").joinpath("axe.min.js")

READ = "#dot.live, #dot.down"
STARTED = datetime.now(UTC)

expect.set_options(timeout=30_000)  # a shared machine can be slow

Open = Callable[..., Watched]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, database_url: URL) -> Iterator[Open]:
    """Opens the dashboard of the test's database and waits until it has read everything once."""
    app = create_app(database_url, cache_seconds=0, poll_interval_ms=1_000)
    with served(app) as base, browser.new_context() as context:

        def opened(path: str = "/", *, width: int = 1_280, dark: bool = False, wait_for: str = READ) -> Watched:
            page = context.new_page()
            page.set_default_timeout(30_000)
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
            watched = Watched(page, base)
            page.goto(base + path)
            page.wait_for_selector(wait_for)
            return watched

        yield opened


@pytest.fixture
def filled(engine: Engine) -> None:
    today = STARTED.date()
    rows.add_source(engine)
    for tmdb_id in range(1, 9):
        rows.add_film(engine, tmdb_id, popularity=float(tmdb_id), observed_at=STARTED)
        rows.add_snapshots(engine, tmdb_id, {today - timedelta(days=back): 5.0 + back % 3 for back in range(12)})
        rows.add_prediction(engine, tmdb_id, STARTED, actual_vote_average=2.0 + tmdb_id, rating_7_probability=0.004)
    rows.add_film(engine, 50, "The Coming", release_date=date(2099, 1, 1), vote_count=0, vote_average=None)
    rows.add_prediction(
        engine,
        50,
        STARTED,
        stage="before_release",
        actual_vote_average=None,
        actual_vote_count=None,
    )
    for tmdb_id, forecast in ((1, 4.0), (2, 2.5), (3, 1.0)):
        for horizon in (1, 3, 7, 14, 30):
            rows.add_forecast(
                engine, tmdb_id, horizon, made_on=today, forecast_popularity=forecast, popularity_lower=forecast - 0.9
            )
    rows.add_mover(engine, 1, snapshot_date=today)
    rows.add_mover(engine, 2, snapshot_date=today, breakout_score=0.9, change_percentile=0.9, is_breakout=False)
    rows.add_mover(engine, 3, 30, snapshot_date=today, popularity_rank_before=1_234)
    for day, is_backtest in ((date(2026, 10, 1), True), (date(2026, 11, 1), True), (date(2026, 11, 2), False)):
        rows.add_forecast_score(engine, 7, day, is_backtest=is_backtest)
    rows.add_forecast_score(engine, 14, date(2026, 11, 1), mae=1.5)
    rows.add_model(engine)
    rows.add_model(engine, model_version="older", is_champion=False, trained_at=rows.NOW - timedelta(days=2))
    for back in range(3):
        rows.add_outcome(engine, 1, today - timedelta(days=back), vote_average_error=0.1)


@pytest.mark.usefixtures("filled")
def test_every_section_shows_its_data_without_a_complaint(open_page: Open) -> None:
    watched = open_page()
    page = watched.page

    expect(page.locator("#popular-body tbody tr")).to_have_count(9)
    expect(page.locator("#coming-body")).to_contain_text("The Coming")
    expect(page.locator("#coming-body thead")).to_contain_text("Popularity now")
    expect(page.locator("#undervalued-body li")).to_have_count(4)
    expect(page.locator("#overvalued-body li")).to_have_count(4)
    expect(page.locator("#models-body")).to_contain_text("points off on average")
    expect(page.locator("#models-body")).to_contain_text("linear regression0.70")
    expect(page.locator("#models-body")).to_contain_text("79 %of real values fell inside the interval")
    expect(page.locator("#models-body")).to_contain_text("0.71is the error over films of any number of votes")
    expect(page.locator("#outcomes-body")).to_contain_text("1 day later")
    expect(page.locator("#demo")).to_be_visible()
    for chart in ("#comparison-body .chart", "#outcomes-body .chart"):
        page.locator(chart).scroll_into_view_if_needed()
        expect(page.locator(f"{chart} .main-svg").first).to_be_visible()
    expect(page.locator("#comparison-body .point")).to_have_count(8)
    assert watched.complaints == []
    assert watched.elsewhere == []


@pytest.mark.usefixtures("filled")
def test_a_film_of_next_month_that_may_surprise_is_found_with_its_reason_in_two_clicks(
    open_page: Open, engine: Engine
) -> None:
    next_month = (STARTED.date().replace(day=1) + timedelta(days=40)).replace(day=5)
    for tmdb_id, popularity in ((51, 1.0), (52, 8.0)):
        rows.add_film(engine, tmdb_id, release_date=next_month)
        rows.add_prediction(
            engine, tmdb_id, STARTED, stage="before_release", predicted_popularity=9.0, actual_popularity=popularity
        )
    rows.add_explanation(engine, 51)
    rows.add_forecast(engine, 51, 3, made_on=next_month - timedelta(days=1), popularity_upper=70.0)
    page = open_page().page
    coming = page.locator("#coming-body tbody tr")
    expect(coming).to_have_count(3)
    page.get_by_role("button", name="Next month").click()
    expect(coming).to_have_count(2)
    page.get_by_role("button", name="Most surprising").click()

    expect(coming.first).to_contain_text("Film 51")
    expect(coming.first).to_contain_text(
        "× 9.00 the popularity now. Why: 2.72 is usual, out in October +18 %, in French −9 %"
    )
    expect(coming.first).to_contain_text("3.00 (1.50 – 70.0)")
    expect(coming.last).not_to_contain_text("Forecast")
    assert page.url.endswith("?month=next&coming=surprise_factor#coming")
    again = open_page(page.url.removeprefix(page.evaluate("location.origin"))).page
    expect(again.locator("#coming-body tbody tr")).to_have_count(2)
    expect(again.locator("#coming")).to_be_in_viewport()
    assert again.evaluate("document.querySelector('#coming').getBoundingClientRect().top") < 50


@pytest.mark.usefixtures("filled")
def test_a_list_of_surprises_says_which_films_it_leaves_out(open_page: Open) -> None:
    page = open_page().page
    page.get_by_role("link", name="May surprise").click()
    expect(page.locator("#coming-body")).to_contain_text(
        "No coming film of these is expected to be more popular than now."
    )
    expect(page.locator("#coming-body")).to_contain_text("“Soonest” has them too, with their forecasts.")
    page.get_by_role("button", name="Soonest").click()
    expect(page.locator("#coming-body")).not_to_contain_text("left out")


@pytest.mark.usefixtures("filled")
def test_all_coming_films_can_be_shown(open_page: Open, engine: Engine) -> None:
    for tmdb_id in range(60, 90):
        rows.add_film(engine, tmdb_id, release_date=date(2099, 2, 1))
        rows.add_prediction(engine, tmdb_id, STARTED, stage="before_release")
    page = open_page().page
    coming, more = page.locator("#coming-body tbody tr"), page.get_by_role("button", name="Show more")
    expect(coming).to_have_count(12)
    expect(page.locator("#coming-body")).to_contain_text("12 of 31 coming films.")
    more.focus()
    page.keyboard.press("Enter")
    expect(coming).to_have_count(24)
    expect(more).to_be_focused()
    assert page.url.endswith("?films=24#coming")
    page.reload()
    expect(coming).to_have_count(24)
    more.click()
    expect(coming).to_have_count(31)
    expect(more).to_have_count(0)


@pytest.mark.usefixtures("filled")
def test_a_film_tells_its_prediction_its_class_and_its_group(open_page: Open, engine: Engine) -> None:
    rows.add_groups(engine, 1, is_high_rated=False)
    watched = open_page("/?film=1")
    film = watched.page.locator("#film")

    expect(film).to_contain_text("6.0 from 100 votes")
    expect(film).to_contain_text("expected for such a film: 6.5 (5.5 – 7.5)")
    expect(film).to_contain_text("81 % chance of the better rated half, from what is known before release. It is not.")
    expect(film).to_contain_text("films that stand out by: october.")
    expect(film).to_contain_text("chance of 7 or more for such a film: under 1 %")
    expect(film.locator(".main-svg").first).to_be_visible()
    expect(film.locator("a[href^=http]")).to_have_count(0)  # made-up films have no page at TMDB
    assert watched.complaints == []


@pytest.mark.usefixtures("filled")
def test_the_front_page_has_the_films_forecast_to_rise_and_fall_and_how_sure(open_page: Open) -> None:
    watched = open_page()
    page = watched.page

    expect(page.locator("#rising-body li")).to_have_count(2)
    expect(page.locator("#rising-body li").first).to_contain_text("Film 1")
    expect(page.locator("#rising-body li").first).to_contain_text(
        "From 2.00 to 4.00 (3.10 – 4.50): fairly sure, the whole interval is a rise."
    )
    expect(page.locator("#rising-body li").last).to_contain_text(": the interval includes no change.")
    expect(page.locator("#falling-body li")).to_have_count(1)
    expect(page.locator("#falling-body li")).to_contain_text("50 %")
    record = page.locator("#forecast-record-body")
    expect(record).to_contain_text("Live forecasts")
    expect(record).to_contain_text("30 % better")
    expect(record).to_contain_text("50 % worse")
    expect(record).to_contain_text("2,000 forecasts")  # two months of the backtest
    assert watched.complaints == []


@pytest.mark.usefixtures("filled")
def test_the_front_page_says_which_rises_are_unusual_and_by_how_much(open_page: Open) -> None:
    watched = open_page()
    body = watched.page.locator("#breakouts-body")

    expect(body.locator("li")).to_have_count(2)
    expect(body.locator("li").first).to_contain_text("Film 1 2024breakoutunusual 99.5 %")
    expect(body.locator("li").first).to_contain_text(
        "From 3.00 to 9.00 in 7 days; such films went to 3.20. Rank 20 → 4. "
        "Larger than 99.72 % of the changes of such films; "
        "unusual 99.5 %, because more of them than usual rose that day."
    )
    expect(body.locator("li").last).to_contain_text("Larger than 90 % of the changes of such films.")
    expect(body.locator("li").last).not_to_contain_text("breakout")
    watched.page.click("#breakouts-span button[data-value='30']")
    expect(body.locator("li")).to_have_count(1)
    expect(body).to_contain_text("in 30 days")
    expect(body).to_contain_text("Rank 1,234 → 4.")
    assert watched.complaints == []


@pytest.mark.usefixtures("filled")
def test_a_film_shows_its_history_and_the_fan_of_the_next_thirty_days(open_page: Open) -> None:
    watched = open_page("/?film=1")
    film = watched.page.locator("#film")

    expect(film.locator(".chart")).to_have_attribute("aria-label", re.compile("over 12 days, and its forecast up to "))
    expect(film.locator(".chart .scatterlayer .trace")).to_have_count(4)  # interval, no change, forecast, real
    expect(film.locator("tbody tr").first).to_contain_text("1 day ahead")
    expect(film).to_contain_text("30 days ahead")
    expect(film).to_contain_text("expected for such a film")
    assert watched.complaints == []

    without = open_page("/?film=4").page.locator("#film")
    expect(without).to_contain_text("Popularity day by day")
    expect(without.locator(".chart .scatterlayer .trace")).to_have_count(1)


def test_the_api_page_describes_every_endpoint_from_our_own_files(open_page: Open) -> None:
    watched = open_page("/docs", wait_for=".opblock")

    expect(watched.page.locator("#main")).to_contain_text("/api/forecasts")
    watched.page.evaluate(AXE.read_text(encoding="utf-8"))
    assert watched.page.evaluate("async () => (await axe.run(document)).violations.map((item) => item.id)") == []
    assert watched.complaints == []
    assert watched.elsewhere == []


def test_an_empty_database_says_what_to_run_and_fills_by_itself(open_page: Open, engine: Engine) -> None:
    watched = open_page()
    expect(watched.page.locator("#empty")).to_contain_text("make run")
    expect(watched.page.locator("#content")).to_be_hidden()

    rows.add_film(engine, 1, "First Film")

    expect(watched.page.locator("#popular-body")).to_contain_text("First Film")
    expect(watched.page.locator("#empty")).to_be_hidden()
    assert watched.complaints == []


def test_titles_are_text_and_never_html(open_page: Open, engine: Engine) -> None:
    rows.add_source(engine)
    rows.add_film(engine, 1, HOSTILE, overview=HOSTILE, tagline=HOSTILE, directors=[HOSTILE], original_title=HOSTILE)
    rows.add_groups(engine, 1, cluster_name=HOSTILE)
    rows.add_prediction(engine, 1, actual_vote_average=2.0)
    rows.add_snapshots(engine, 1, {rows.TODAY: 3.0})
    watched = open_page("/?film=1")
    page = watched.page

    expect(page.locator("#film-title")).to_have_text(HOSTILE)
    page.keyboard.press("Escape")
    expect(page.locator("#popular-body .film")).to_have_text(HOSTILE)
    expect(page.locator("#undervalued-body .film")).to_have_text(HOSTILE)
    page.fill("#query", "bold")
    expect(page.locator("#results li span").first).to_have_text(HOSTILE)
    page.keyboard.press("Escape")
    page.locator("#comparison-body .chart").scroll_into_view_if_needed()
    page.locator("#comparison-body .point").hover(force=True)  # plotly listens on a layer above its dots
    expect(page.locator("#tooltip strong")).to_have_text(HOSTILE)
    assert page.title() == "Horror, measured"
    assert page.locator("main img, main b, dialog img, dialog b, #tooltip b").count() == 0
    assert watched.complaints == []


@pytest.mark.usefixtures("filled")
def test_search_works_by_keyboard_alone(open_page: Open) -> None:
    page = open_page().page
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#query")).to_be_focused()

    page.keyboard.type("coming")
    expect(page.locator("#results [role=option]")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    expect(page.locator("#query")).to_have_attribute("aria-activedescendant", "result-0")
    page.keyboard.press("Enter")

    expect(page.locator("#film-title")).to_have_text("The Coming")
    assert page.url.endswith("?film=50")
    page.keyboard.press("Escape")
    expect(page.locator("#film")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/$"))
    page.go_back()
    expect(page.locator("#film-title")).to_have_text("The Coming")


@pytest.mark.usefixtures("filled")
def test_a_refresh_moves_nothing_and_keeps_the_focus(open_page: Open, engine: Engine) -> None:
    page = open_page().page
    button = page.locator("#popular-body .film", has_text="Film 8")
    page.locator("#comparison-body .chart").scroll_into_view_if_needed()
    page.wait_for_selector("#comparison-body .main-svg")
    button.evaluate("button => button.focus({ preventScroll: true })")
    before = page.evaluate("scrollY")
    assert before > 500

    with engine.begin() as connection:
        connection.execute(text("UPDATE movies SET popularity = popularity + 100"))
    expect(page.locator("#popular-body")).to_contain_text("108")

    assert page.evaluate("scrollY") == before
    expect(button).to_be_focused()


@pytest.mark.usefixtures("filled")
def test_a_database_that_goes_away_is_said_and_comes_back_by_itself(
    open_page: Open, postgres: URL, database_url: URL
) -> None:
    page = open_page().page
    expect(page.locator("#popular-body tbody tr")).to_have_count(9)

    _allow_connections(postgres, database_url, "false")
    expect(page.locator("#trouble")).to_contain_text("No new data: cannot reach the database")
    expect(page.locator("#trouble")).to_contain_text("What you see is from")
    expect(page.locator("#popular-body tbody tr")).to_have_count(9)

    _allow_connections(postgres, database_url, "true")
    expect(page.locator("#trouble")).to_be_hidden()
    expect(page.locator("#dot.live")).to_be_visible()


def _allow_connections(postgres: URL, database_url: URL, allowed: str) -> None:
    engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {database_url.database} ALLOW_CONNECTIONS {allowed}"))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": database_url.database},
        )
    engine.dispose()


@pytest.mark.usefixtures("filled")
def test_a_phone_never_scrolls_sideways(open_page: Open, engine: Engine) -> None:
    endless = "x" * 5_000
    rows.add_film(engine, 60, endless, popularity=99.0, observed_at=STARTED, directors=[endless], tagline=endless)
    rows.add_prediction(engine, 60, STARTED, actual_vote_average=1.0)
    page = open_page("/?film=60", width=320).page
    expect(page.locator("#film-title")).to_have_text(endless)
    assert page.evaluate("document.querySelector('#film').scrollWidth") <= 320
    page.keyboard.press("Escape")
    expect(page.locator("#popular-body td.wide").first).to_be_hidden()
    expect(page.locator("#popular-body .spark").first).to_be_visible()
    assert page.evaluate("document.querySelector('#coming .section-head').scrollWidth") <= 320
    expect(page.locator("#sections a").last).to_be_in_viewport(ratio=1)
    page.fill("#query", "x")
    expect(page.locator("#results [role=option]")).to_have_count(1)
    assert page.evaluate("document.querySelector('#results').scrollWidth") <= 320
    assert page.evaluate("document.documentElement.scrollWidth") <= 320

    page.goto(page.url.split("?")[0] + "?film=1")
    page.wait_for_selector("#film .main-svg")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate("document.querySelector('#film').scrollWidth") <= 320

    page.goto(page.url.split("?")[0] + "docs")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_pictures_that_cannot_be_loaded_leave_no_trace(open_page: Open, engine: Engine) -> None:
    rows.add_source(engine, is_demo=False, api_url="https://api.themoviedb.org/3")
    rows.add_film(engine, 1, "Seen", poster_path="/seen.jpg")
    rows.add_film(engine, 2, "Missing", poster_path="/missing.jpg")
    rows.add_film(engine, 3, "Odd", poster_path="/../x?y")
    picture = (Path(__file__).parents[2] / "horror_pipeline" / "web" / "static" / "icon.svg").read_bytes()

    def answer(route: Route) -> None:
        if route.request.url.endswith("/seen.jpg"):
            route.fulfill(body=picture, content_type="image/svg+xml")
        else:
            route.abort()

    page = open_page("/docs", wait_for="main").page
    page.route("https://image.tmdb.org/**", answer)
    page.goto(page.url.replace("/docs", "/"))
    expect(page.locator("#popular-body .film")).to_have_count(3)

    expect(page.locator("#popular-body img")).to_have_count(1)
    assert page.evaluate("document.querySelector('#popular-body img').naturalWidth") > 0
    page.locator("#popular-body .film", has_text="Seen").click()
    expect(page.locator("#film a[href^=http]")).to_have_attribute("href", "https://www.themoviedb.org/movie/1")


@pytest.mark.usefixtures("filled")
def test_axe_finds_no_barrier(open_page: Open, engine: Engine) -> None:
    rows.add_similar(engine, 50, 1, 2, 3)
    for path, width, dark in (
        *(("/", 1_280, False), ("/?film=1", 390, True), ("/lists", 320, True), ("/track-record", 1_280, True)),
        *(("/movies/50", 320, False), ("/compare?ids=1,2,50", 1_280, False), ("/compare?add=film", 320, True)),
    ):
        page = open_page(
            path, width=width, dark=dark, wait_for=READ if path.startswith("/?") or path == "/" else "main"
        ).page
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("async () => (await axe.run(document)).violations")
        assert [(path, item["id"], item["nodes"][0]["html"]) for item in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
        page.close()
