"""Durations, counts and the result of a race, formatted for people."""

from collections.abc import Iterable, Iterator, Sequence

from pokemon_names.report import Report, Standing, compare, standings

# How each strategy sends its requests, short enough for a phone.
ABOUT = {
    "gather": "all at once",
    "sequential": "one after another",
    "sync": "one by one, blocking",
    "index": "one request for all",
}

# Its line of Python, as a reader of the tutorial would write it.
CODE = {
    "gather": "await gather(*map(get, numbers))",
    "sequential": "for n in numbers: await get(n)",
    "sync": "for n in numbers: get(n)",
    "index": 'get("?limit=…")',
}

MORAL = "Only requests that are in flight together share the wait."

_MS_PER_SECOND = 1000


def format_duration(milliseconds: float, span_ms: float) -> str:
    """Return a duration in the unit of the span that it belongs to."""
    unit, unit_ms = unit_of(span_ms)
    return f"{two_digits(milliseconds / unit_ms)} {unit}"


def unit_of(span_ms: float) -> tuple[str, int]:
    """Return the unit for a span, and the milliseconds per unit."""
    if round(span_ms) >= _MS_PER_SECOND:
        return "s", _MS_PER_SECOND
    return "ms", 1


def two_digits(value: float) -> str:
    """Return a number with two significant digits, and at most three decimals."""
    for limit, decimals in ((9.95, 0), (0.995, 1), (0.0995, 2)):  # 9.96 is 10, and not 10.0
        if value >= limit:
            return f"{value:,.{decimals}f}"
    return f"{value:.3f}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}s"


def format_names(report: Report) -> str:
    """Return the number of names, and if some are missing, out of how many."""
    count = len(report.names)
    if not report.failures:
        return plural(count, "name")
    return f"{count:,} of {plural(len(report.request.numbers), 'name')}"


def format_speedup(standing: Standing) -> str:
    """Return the speed-up over `sync`, or an empty string if it is unknown."""
    if standing.speedup is None:
        return ""
    text = f"{two_digits(standing.speedup)}x"
    if standing.is_lower_bound:
        return f"at least {text}"
    return text


def compare_with_sync(standing: Standing) -> str:
    """Return the speed-up, which must be known, as part of a sentence."""
    speedup = two_digits(standing.speedup or 0)
    text = "as fast as sync"
    if speedup != "1.0":
        text = f"{speedup} times {text}"
    if standing.is_lower_bound:
        text = f"at least {text}"
    return text


def longest_ms(reports: Sequence[Report]) -> float:
    """Return how long the slowest strategy took."""
    return max(report.fetched.total_ms for report in reports)


def headline(reports: Sequence[Report]) -> tuple[str, str]:
    """Return the result of a race, and its details if there are any.

    The result compares `gather` with one request after another. If either has no names, the result
    is the fastest strategy, and the details are the others.
    """
    by_strategy = {report.request.strategy: report for report in reports if report.names}
    gather = by_strategy.get("gather")
    slow = by_strategy.get("sync") or by_strategy.get("sequential")
    if gather and slow:
        return _comparison(gather, slow)
    if not by_strategy:
        return "No names", ""
    fastest_first = sorted(by_strategy.values(), key=lambda report: report.fetched.total_ms)
    fastest, *others = times(fastest_first, longest_ms(fastest_first))
    return fastest, ", ".join(others)


def one_line(result: str, details: str) -> str:
    """Return a headline as one line."""
    if not details:
        return result
    return f"{result}: {details}"


def times(reports: Iterable[Report], span_ms: float) -> Iterator[str]:
    """Yield how many names each strategy returned, and in what time."""
    for report in reports:
        duration = format_duration(report.fetched.total_ms, span_ms)
        yield f"{format_names(report)} in {duration} with {report.request.strategy}"


def race_lines(reports: Sequence[Report]) -> Iterator[str]:
    """Yield a line for each strategy: its time, its speed-up and its number of names."""
    span_ms = longest_ms(reports)
    for standing in standings(reports):
        report = standing.report
        duration = format_duration(report.fetched.total_ms, span_ms)
        speedup = format_speedup(standing)
        names = format_names(report)
        if report.cut_off:
            names += ", then time ran out"
        yield f"{report.request.strategy:<10} {duration:>8} {speedup:>14}  {names}"


def _comparison(gather: Report, slow: Report) -> tuple[str, str]:
    span_ms = longest_ms([gather, slow])
    at_once = format_duration(gather.fetched.total_ms, span_ms)
    in_turn = format_duration(slow.fetched.total_ms, span_ms)
    standing = compare(gather, slow)
    result = "No faster"
    if standing.speedup and round(standing.speedup, 1) > 1:
        result = f"{two_digits(standing.speedup)} times faster"
        if standing.is_lower_bound:
            result = f"At least {result}"
    names = format_names(gather)
    if slow.cut_off or len(gather.names) != len(slow.names):
        in_turn = f"{format_names(slow)} in {in_turn}"
    return result, f"{names} in {at_once} at once, {in_turn} one after another"
