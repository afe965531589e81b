from __future__ import annotations

import threading
import time

import pytest

from horror_pipeline.tmdb.rate_limiter import LOWEST_SHARE, CancelledError, RateLimiter
from horror_pipeline_tests.tmdb.fake import FakeClock


def paced(per_second: float) -> tuple[RateLimiter, FakeClock]:
    clock = FakeClock()
    return RateLimiter(per_second, clock=clock, sleep=clock.sleep), clock


def moments(limiter: RateLimiter, clock: FakeClock, count: int) -> list[float]:
    found = []
    for _ in range(count):
        limiter.acquire()
        found.append(clock.now)
    return found


def test_requests_leave_on_an_even_grid() -> None:
    limiter, clock = paced(10)
    sent = moments(limiter, clock, 21)
    assert sent[-1] - sent[0] == pytest.approx(2.0, abs=0.03)
    assert all(later - earlier <= 0.1 + 1e-9 for earlier, later in zip(sent, sent[1:], strict=False))


def test_no_second_ever_holds_more_than_the_rate_and_the_catch_up() -> None:
    limiter, clock = paced(38)
    sent = moments(limiter, clock, 200)
    assert max(sum(1 for other in sent if one <= other < one + 1.0) for one in sent) <= 39


def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    limiter, clock = paced(10)
    moments(limiter, clock, 1)
    clock.now += 60
    sent = moments(limiter, clock, 11)
    assert sent[-1] - sent[0] >= 0.97


def test_what_a_busy_machine_held_up_does_not_leave_all_at_once() -> None:
    limiter, clock = paced(40)
    moments(limiter, clock, 5)
    clock.now += 0.5
    sent = moments(limiter, clock, 21)
    assert sent[-1] - sent[0] >= 20 / 40 - 0.03


def test_a_refusal_stops_everybody_and_lowers_the_rate_once() -> None:
    limiter, clock = paced(100)
    moments(limiter, clock, 5)
    start = clock.now
    limiter.refused(2.0)
    limiter.refused(2.0)  # a second request that was already under way
    assert limiter.rate == pytest.approx(85)
    assert moments(limiter, clock, 1)[0] >= start + 2.0


def test_successes_bring_the_full_rate_back() -> None:
    limiter, _ = paced(100)
    limiter.refused(0.1)
    for _ in range(100):
        limiter.succeeded()
    assert limiter.rate == 100


def test_an_outage_slows_down_and_scattered_errors_do_not() -> None:
    outage, _ = paced(100)
    for _ in range(500):
        outage.failed()
    assert outage.rate == pytest.approx(100 * LOWEST_SHARE)
    scattered, _ = paced(100)
    for number in range(1000):
        scattered.failed() if number % 20 == 0 else scattered.succeeded()
    assert scattered.rate > 95


def test_a_moment_waited_for_before_a_pause_is_not_used_in_it() -> None:
    clock = FakeClock()
    limiter = RateLimiter(1, clock=clock, sleep=clock.sleep)
    limiter.acquire()
    naps: list[float] = []

    def nap(seconds: float) -> None:
        if not naps:
            limiter.refused(10.0)  # somebody else is refused while this thread waits for its slot
        naps.append(seconds)
        clock.sleep(seconds)

    limiter._sleep = nap
    start = clock.now
    limiter.acquire()
    assert clock.now >= start + 10.0


def test_a_cancelled_wait_ends_at_once() -> None:
    limiter, _ = paced(0.001)
    limiter.acquire()
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        limiter.acquire(cancel)
    with pytest.raises(CancelledError):
        limiter.wait(1000, cancel)


def test_threads_share_one_rate() -> None:
    limiter = RateLimiter(200)
    sent: list[float] = []

    def work() -> None:
        for _ in range(10):
            limiter.acquire()
            sent.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(sent) - min(sent) >= 79 / 200 - 0.03
