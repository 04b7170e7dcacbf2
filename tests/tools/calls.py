"""Random calls of the function, and what must be true of their replies, whatever PokeAPI does."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from pokemon_names.model import STRATEGIES, InvalidRequest, Request
from pokemon_names.ranges import format_range
from tests.tools.pokeapi.bodies import pokemon

CONTEXT_SECONDS = 8.0  # the function keeps 2 of them for its reply
MAX_NUMBERS = 1500
MAX_IN_A_ROW = 30  # numbers, for the strategies that send one request after another

NAMES = {one.number: one.name for one in pokemon().values()}
NUMBERS = sorted([*NAMES, *range(1026, 1126), *range(10_327, 10_377)])
MISTAKES: Sequence[Mapping[str, Any]] = (
    {"range": "3-1"},
    {"range": "1-1501"},
    {"strategy": "fast"},
    {"fresh": 1},
    {"numbers": "1"},
)

# Why a number may fail in clear weather, because the machine may be busy.
CLEAR_REASONS = {"not_found", "timeout", "deadline"}


def random_event(random: Random) -> dict[str, Any]:
    """Return a direct call's event: mostly a valid request, for existing and missing numbers."""
    if random.random() < 0.03:
        return dict(random.choice(MISTAKES))
    strategy = random.choice(STRATEGIES)
    most = MAX_IN_A_ROW if strategy in {"sequential", "sync"} else MAX_NUMBERS
    count = round(most ** random.random())  # small ranges as often as large ones
    if random.random() < 0.5:
        first = random.randrange(len(NUMBERS) - count + 1)
        numbers = NUMBERS[first : first + count]
    else:
        numbers = random.sample(NUMBERS, count)
    flags = {"fresh": random.random() < 0.7, "trace": random.random() < 0.1}
    return {"range": format_range(numbers), "strategy": strategy, **flags}


def violations(
    event: Mapping[str, Any], reply: Mapping[str, Any], took: float, *, is_clear: bool
) -> Iterator[str]:
    """Yield what is wrong with a reply, and with the time it took."""
    if took > CONTEXT_SECONDS:
        yield f"replied after {took:.1f} s"
    try:
        request = Request.parse(event, MAX_NUMBERS)
    except InvalidRequest as mistake:
        if reply != {"errorType": "InvalidRequest", "errorMessage": str(mistake)}:
            yield f"should have been refused: {reply}"
        return
    if "names" not in reply:
        yield f"no report: {reply}"
        return
    reasons = {failure["number"]: failure["reason"] for failure in reply["failures"]}
    names = [NAMES.get(one) for one in request.numbers if one not in reasons]
    if reply["names"] != names or not reasons.keys() <= set(request.numbers):
        yield "wrong names"
    for one, reason in reasons.items():
        if one in NAMES and reason == "not_found":
            yield f"{one} exists but was not found"
    unexplained = set(reasons.values()) - CLEAR_REASONS
    if is_clear and unexplained:
        yield f"failed in clear weather: {', '.join(sorted(unexplained))}"
