from __future__ import annotations

import pytest
from sqlalchemy import URL, make_url

from horror_pipeline.errors import WarehouseError
from horror_pipeline.warehouse.engine import connect


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql+psycopg2://me:s3cret@127.0.0.1:1/db", "127.0.0.1:1"),
        ("postgresql+psycopg2://me:s3cret@no-such-host.invalid/db", "check the host"),
        ("postgresql+psycopg2://me:s3cr@et@127.0.0.1:1/db", "write an @ of the password as %40"),
        ("postgresql+psycopg2://me@/db?host=/no/such/folder", "/no/such/folder"),
    ],
)
def test_an_unreachable_database_is_one_line_without_the_password(url: str, expected: str) -> None:
    with pytest.raises(WarehouseError) as refused:
        connect(make_url(url))
    message = str(refused.value)
    assert expected in message
    assert "s3c" not in message
    assert "\n" not in message


def test_a_database_that_does_not_exist_is_named(postgres: URL) -> None:
    with pytest.raises(WarehouseError, match="'nowhere'.*does not exist.*check the database"):
        connect(postgres.set(database="nowhere"))
