"""Fetching in all conditions, on a virtual clock: names, requests and seconds.

`make simulate` prints the whole table.
"""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from pokemon_names.fetching.policy import Policy
from pokemon_names.http.errors import GetError
from tests.conftest import Capture
from tests.tools import simulation
from tests.tools.simulation import (
    ROUND_TRIPS,
    Arrival,
    MakeCondition,
    Outcome,
    block,
    clear,
    dead,
    faults,
    flapping,
    limiter,
    outage,
    poisoned,
    silent,
)

fuzz = pytest.mark.fuzz


# `make test` has two medium round trips; `make fuzz` adds a very short and a very long one.
@pytest.fixture(
    params=[trip if trip in {0.03, 0.1} else pytest.param(trip, marks=fuzz) for trip in ROUND_TRIPS]
)
def round_trip(request: pytest.FixtureRequest) -> float:
    return float(request.param)


@pytest.fixture(params=[True, False])
def with_list(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def simulate(  # noqa: PLR0913  what a test may vary
    make_condition: MakeCondition,
    count: int,
    round_trip: float,
    *,
    with_list: bool,
    jobs: int = 1,
    strategy: str = "gather",
    limits: Policy | None = None,
) -> Outcome:
    """Simulate a fetch of the numbers from 1 to count, and check that it leaves nothing behind."""
    outcome = simulation.simulate(
        make_condition,
        range(1, count + 1),
        jobs=jobs,
        round_trip=round_trip,
        strategy=strategy,
        with_list=with_list,
        limits=limits,
    )
    assert outcome.late == 0
    return outcome


@pytest.mark.parametrize("count", [150, pytest.param(1025, marks=fuzz)])
def test_in_clear_weather_each_number_costs_one_request(
    count: int, round_trip: float, *, with_list: bool
) -> None:
    outcome = simulate(clear, count, round_trip, with_list=with_list)
    assert (outcome.names, outcome.listed, outcome.requests, outcome.failed) == (count, 0, count, 0)
    assert outcome.seconds < 0.6 + 11 * 1.2 * round_trip


@pytest.mark.parametrize("seconds", [5, pytest.param(0.1, marks=fuzz), pytest.param(1, marks=fuzz)])
@pytest.mark.parametrize("count", [1, 150, pytest.param(1025, marks=fuzz)])
@pytest.mark.parametrize(
    ("strategy", "with_list"),
    [
        ("gather", True),
        ("gather", False),
        ("sequential", True),
        pytest.param("sequential", False, marks=fuzz),
        ("index", True),  # without the list it sends nothing
    ],
)
def test_an_outage_costs_only_its_time(
    strategy: str, count: int, seconds: float, *, with_list: bool
) -> None:
    outcome = simulate(
        lambda: outage(seconds), count, 0.005, with_list=with_list, strategy=strategy
    )
    assert outcome.names == count
    healthy = simulate(clear, count, 0.005, with_list=with_list, strategy=strategy)
    assert outcome.seconds < seconds + healthy.seconds + 1.1


@pytest.mark.parametrize(
    "count", [150, pytest.param(1, marks=fuzz), pytest.param(1025, marks=fuzz)]
)
def test_an_outage_of_5_s_costs_no_name_at_any_distance(
    count: int, round_trip: float, *, with_list: bool
) -> None:
    outcome = simulate(lambda: outage(5), count, round_trip, with_list=with_list)
    assert outcome.names == count
    assert outcome.failed <= 300


@pytest.mark.parametrize("burst", [10, pytest.param(100, marks=fuzz)])
@pytest.mark.parametrize(("count", "refusals"), [(150, 300), pytest.param(1025, 1025, marks=fuzz)])
def test_a_limiter_refuses_few_requests(
    count: int, refusals: int, burst: float, round_trip: float, *, with_list: bool
) -> None:
    outcome = simulate(lambda: limiter(100, burst), count, round_trip, with_list=with_list)
    assert outcome.names == count
    assert outcome.failed <= refusals
    assert outcome.seconds < 2 + count / 100 + 5 * round_trip


@pytest.mark.parametrize("retry_after", [1, pytest.param(7, marks=fuzz)])
def test_a_fetch_waits_as_long_as_retry_after_says(
    retry_after: float, round_trip: float, *, with_list: bool
) -> None:
    outcome = simulate(
        lambda: limiter(20, retry_after=retry_after), 150, round_trip, with_list=with_list
    )
    assert outcome.names == 150


def test_stragglers_wait_for_the_list_as_long_as_retry_after_says(round_trip: float) -> None:
    later = GetError(
        kind="service", reason="bad_status", detail="Too Many Requests", status=429, retry_after=7
    )
    hopeless = block(1, 5)

    def condition(arrival: Arrival, random: Random) -> GetError | None:
        if arrival.number is None and arrival.at < 5:
            return later
        return hopeless(arrival, random)

    outcome = simulate(lambda: condition, 150, round_trip, with_list=True)
    assert (outcome.names, outcome.listed) == (150, 5)


def test_a_dead_service_gets_few_requests(round_trip: float, *, with_list: bool) -> None:
    outcome = simulate(dead, 150, round_trip, with_list=with_list)
    assert outcome.names == 0
    assert outcome.requests <= 250
    assert 11 <= outcome.seconds <= 11.5


@pytest.mark.parametrize(("bad", "good"), [(1, 1), (1.5, 1), (2, 1)])
def test_good_seconds_between_bad_ones_are_used(
    bad: float, good: float, round_trip: float, *, with_list: bool
) -> None:
    outcome = simulate(lambda: flapping(bad, good), 150, round_trip, with_list=with_list)
    assert outcome.names == 150
    assert outcome.seconds < 10


@fuzz
def test_a_thousand_names_arrive_between_bad_seconds(round_trip: float, *, with_list: bool) -> None:
    outcome = simulate(lambda: flapping(1, 1), 1025, round_trip, with_list=with_list)
    assert outcome.names == 1025


@pytest.mark.parametrize(
    ("count", "first", "last"),
    [
        (150, 1, 100),
        (900, 1, 300),
        *[pytest.param(900, first, first + 299, marks=fuzz) for first in (301, 601)],
    ],
)
def test_a_block_of_failing_numbers_costs_no_other_number(
    count: int, first: int, last: int, round_trip: float, *, with_list: bool
) -> None:
    outcome = simulate(lambda: block(first, last), count, round_trip, with_list=with_list)
    failing = range(first, last + 1)
    assert outcome.lost == ([] if with_list else list(failing))
    assert outcome.listed == (len(failing) if with_list else 0)
    if with_list:
        assert outcome.seconds < 1 + 25 * round_trip


@pytest.mark.parametrize("size", [15, pytest.param(135, marks=fuzz)])
@pytest.mark.parametrize("failing", [4, pytest.param(0, marks=fuzz)])
def test_a_job_that_fails_costs_no_other_job(
    failing: int, size: int, round_trip: float, *, with_list: bool
) -> None:
    first, last = size * failing + 1, size * (failing + 1)
    outcome = simulate(
        lambda: block(first, last), 10 * size, round_trip, with_list=with_list, jobs=10
    )
    assert outcome.lost == ([] if with_list else list(range(first, last + 1)))


@pytest.mark.parametrize("count", [150, pytest.param(1351, marks=fuzz)])
@pytest.mark.parametrize("make_condition", [lambda: silent(10), lambda: poisoned(10)])
def test_some_numbers_that_fail_for_good_cost_no_other_number(
    make_condition: MakeCondition, count: int, round_trip: float, *, with_list: bool
) -> None:
    outcome = simulate(make_condition, count, round_trip, with_list=with_list)
    failing = range(10, count + 1, 10)
    if with_list:
        assert (outcome.names, outcome.listed) == (count, len(failing))
    else:
        assert set(outcome.lost) <= set(failing)


@pytest.mark.parametrize("count", [150, pytest.param(1025, marks=fuzz)])
def test_random_faults_cost_no_name(count: int, round_trip: float, *, with_list: bool) -> None:
    outcome = simulate(lambda: faults(0.3), count, round_trip, with_list=with_list)
    assert outcome.names == count
    assert outcome.requests < 1.6 * count


@pytest.mark.parametrize("make_condition", [clear, lambda: faults(0.3), lambda: outage(0.5)])
@pytest.mark.parametrize("rate", [50, pytest.param(20, marks=fuzz)])
def test_no_more_requests_are_sent_per_second_than_allowed(
    make_condition: MakeCondition, rate: int, round_trip: float, *, with_list: bool
) -> None:
    limits = Policy(requests_per_second=rate)
    outcome = simulate(make_condition, 150, round_trip, with_list=with_list, limits=limits)
    assert outcome.names == 150
    assert outcome.peak == rate


def test_the_same_seed_gives_the_same_outcome() -> None:
    def outcome(seed: int) -> Outcome:
        return simulation.simulate(lambda: faults(0.3), range(1, 151), seed=seed)

    assert outcome(1) == outcome(1)
    assert outcome(1) != outcome(2)


def test_a_virtual_hour_passes_at_once() -> None:
    async def sleep() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert simulation.run(sleep()) == 3600


def test_a_fetch_that_hangs_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="every task is waiting, and nothing will wake one"):
        simulation.run(asyncio.Event().wait())


def test_the_table_has_a_line_for_each_condition_and_count(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = Outcome(150, 5, 12, 163, 90, 0.44, lost=[], late=0)
    arguments: list[tuple[Sequence[int], object]] = []

    def simulate(_make_condition: object, numbers: Sequence[int], **options: object) -> Outcome:
        arguments.append((numbers, options["seed"]))
        return outcome

    monkeypatch.setattr(simulation, "simulate", simulate)
    monkeypatch.setattr("sys.argv", ["simulation", "--seed=7"])
    assert simulation.main() == 0
    lines = capsys.readouterr().out.splitlines()
    cell = "  150    5   163    12   0.4"
    assert lines[3] == f"clear              150 │{cell} │{cell} │{cell} │{cell}"
    assert len(lines) == 5 + 2 * 2 * len(simulation.CONDITIONS)
    assert arguments[0] == (range(1, 151), 7)
    assert arguments[4] == (range(1, 1026), 7)
