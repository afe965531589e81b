"""Hold the warehouse's counts against what a TMDB server lists: compare_counts.py API_URL TODAY."""

import csv
import io
import json
import subprocess
import sys
import urllib.parse
import urllib.request


def listed(api_url: str, **filters: str) -> set[int]:
    """Ids a server lists for the filters, all pages."""
    ids: set[int] = set()
    page, pages = 1, 1
    while page <= pages:
        query = {"api_key": "replay", "with_genres": "27", "page": str(page), "sort_by": "primary_release_date.asc"}
        with urllib.request.urlopen(f"{api_url}/discover/movie?{urllib.parse.urlencode(query | filters)}") as answer:  # noqa: S310
            body = json.load(answer)
        ids |= {row["id"] for row in body["results"]}
        page, pages = page + 1, body["total_pages"]
    return ids


def query(sql: str) -> list[list[str]]:
    """Rows of a query on the warehouse."""
    done = subprocess.run(  # noqa: S603
        [".venv/bin/horror", "db", "psql", "--csv", "--tuples-only", "-c", sql],
        capture_output=True,
        text=True,
        check=True,
    )
    return list(csv.reader(io.StringIO(done.stdout)))


def main() -> None:
    """Compare, print, and fail on the first difference."""
    api_url, today = sys.argv[1:]
    released = listed(
        api_url, **{"primary_release_date.gte": "2010-01-01", "primary_release_date.lte": today, "vote_count.gte": "10"}
    )
    out_today = listed(api_url, **{"primary_release_date.gte": today, "primary_release_date.lte": today})
    upcoming = listed(api_url, **{"primary_release_date.gte": today}) - out_today
    wanted = released | upcoming
    counts = {
        "movies": {int(row[0]) for row in query("SELECT tmdb_id FROM movies")},
        "movie_snapshots today": {
            int(row[0])
            for row in query(
                "SELECT tmdb_id FROM movie_snapshots WHERE snapshot_date = (now() AT TIME ZONE 'UTC')::date"
            )
        },
        "latest_predictions": {int(row[0]) for row in query("SELECT tmdb_id FROM latest_predictions")},
    }
    print(f"listed by the server: {len(released)} released, {len(upcoming)} upcoming, {len(wanted)} in all")
    wrong = False
    for name, ids in counts.items():
        print(f"{name}: {len(ids)}, missing {len(wanted - ids)}, unexpected {len(ids - wanted)}")
        wrong = wrong or ids != wanted
    sys.exit(wrong)


if __name__ == "__main__":
    main()
