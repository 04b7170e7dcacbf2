"""The function in changing weather, and a model that predicts what its replies may say."""

import json
import math
import ssl
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from pokemon_names.model import STRATEGIES
from tests.conftest import http_event
from tests.tools.environment import POLICY
from tests.world import DOWN, FINAL, GOOD, LIST, NAMES, NUMBERS, POISON, SILENT, World, sqs_event

EXAMPLES = 8  # in `make test`
STEPS = 12
# Only `make fuzz` tries faults that end with a timeout: on a busy machine, a good answer may take
# as long as the timeout.
HAS_TIMEOUTS = not settings().derandomize
MARGIN = 2.0  # seconds of an invocation that are not spent on fetching
STALL = 5.0  # seconds that a busy machine may add; less than the 11 s of a silence
SLOW_MS = 180  # milliseconds; a slower request may have timed out
FIVE_MINUTES = 5 * 60
DAY = 24 * 60 * 60
WEEK = 7 * DAY
PATIENCE = {"silence": 11.0, "straggler": 5.0, "lag": 60.0}  # as in production, but nothing lags

# The outcomes of a number, other than its name.
GONE = "not found"
FAILED = "failed"

# How a number may end: with the truth, with a 404 that no list confirms, or with an error.
TRUE = "true"
UNCONFIRMED = "unconfirmed 404"
LOST = "lost"

# The origin of an outcome. A right one comes from the number's URL or from the list, an expired
# name from the cache; any other is UNCONFIRMED or LOST. MEANINGS has the ends that allow each
# origin.
OWN = "from its URL"
LISTED = "from the list"
STALE = "stale"
UNSURE = "listed or stale"
MEANINGS = {
    OWN: {TRUE},
    LISTED: {TRUE},
    UNCONFIRMED: {UNCONFIRMED},
    LOST: {LOST},
    STALE: {UNCONFIRMED, LOST},
    UNSURE: {TRUE},
}

KINDS = st.sampled_from([*GOOD, *DOWN])
WAYS_TO_END = st.sampled_from(["close", "reset", *(["forget"] if HAS_TIMEOUTS else [])])
POISONS = st.sampled_from(POISON)
TIMES = st.sampled_from([0, 1, 2, math.inf])
RANGES = st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=5, unique=True)
FIELDS = st.fixed_dictionaries(
    {
        "range": RANGES.map(lambda numbers: ",".join(map(str, numbers))),
        "strategy": st.sampled_from(STRATEGIES),
        "fresh": st.booleans(),
        "trace": st.just("true"),
    }
)
BY_URL = st.fixed_dictionaries(
    {
        "range": st.just("4-6"),
        "strategy": st.sampled_from(["gather", "sequential", "sync"]),
        "fresh": st.just("true"),
        "trace": st.just("true"),
    }
)


class Prediction(NamedTuple):
    """A request, and what the model predicts for its numbers.

    `cached` has the outcome of each number that needs no HTTP request. `ends` has the possible ends
    of each other number, and `expired` the expired names among them.
    """

    numbers: Sequence[int]
    is_index: bool
    cached: Mapping[int, str]
    ends: Mapping[int, set[str]]
    expired: Mapping[int, str]


class FunctionInWeather(RuleBasedStateMachine):
    """Rules that change the weather, invoke the function, and compare its reply with the model.

    `is_undisturbed` is true until a connection ends, and `is_exact` if the last invocation waited
    for all of its requests.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.sky = world.sky
        self.now = 0
        self.names = dict(NAMES)
        self.known: dict[int, tuple[str, int]] = {}  # the name, and when it expires
        self.absent: dict[int, int] = {}  # when it is forgotten
        self.is_undisturbed = True
        self.is_exact = False
        self.requests = 0
        self.total_requests = world.count()

    @initialize(kind=KINDS, slow=st.none() | st.integers(0, 6))
    def begin(self, kind: str, slow: int | None) -> None:
        """Begin in any weather, so that an example needs no other rule to change it."""
        self.change_weather(kind, None, is_slow=False)
        self.sky.slow = slow

    @rule(kind=KINDS, later=st.none() | st.tuples(st.integers(1, 4), KINDS), is_slow=st.booleans())
    def change_weather(self, kind: str, later: tuple[int, str] | None, *, is_slow: bool) -> None:
        """Change the weather now, and again after some requests if `later` is given."""
        self.world.change_weather(kind)
        self.sky.delay = self.world.service.delay = 0.01 if is_slow else 0.0
        self.sky.change_after = math.inf
        if later and (HAS_TIMEOUTS or kind != "silence"):
            self.sky.change_after, later_kind = later
            self.sky.changed_kind = later_kind
            self.sky.change = lambda: self.world.change_weather(later_kind)
        self.is_undisturbed &= not self.ending & set(self.kinds())

    @rule(data=st.data(), number=st.integers(0, 6), times=TIMES)
    def be_hostile(self, data: st.DataObject, number: int, times: float) -> None:
        """Let one number or the list fail this many times; zero ends all such faults."""
        fault = data.draw(st.sampled_from(self.world.faults))
        if not times or fault in SILENT or self.silent:
            self.sky.hostile = {}
        if times:
            self.sky.hostile[number] = (fault, math.inf if fault in SILENT else times)
        self.is_undisturbed &= fault not in self.ending

    @rule(
        number=st.integers(0, 6),
        kind=POISONS,
        has_slash=st.booleans(),
        heals=st.booleans(),
    )
    def poison(self, number: int, kind: str, *, has_slash: bool, heals: bool) -> None:
        """Let one spelling of a path always fail; `heals` ends all earlier poison first."""
        if heals:
            self.sky.poison = {}
        self.sky.poison[number] = (kind, has_slash)

    @rule(how=WAYS_TO_END, freezes=st.booleans())
    def end_connections(self, how: str, *, freezes: bool) -> None:
        """End all connections; with `freezes`, first freeze the process until the next event."""
        self.is_undisturbed = False
        if freezes:
            self.world.freeze()
        self.world.end_connections(how)

    @rule(how=WAYS_TO_END, freezes=st.booleans(), after=st.integers(1, 4))
    def end_connections_later(self, how: str, after: int, *, freezes: bool) -> None:
        """End all connections after some requests."""

        def end() -> None:
            self.end_connections(how, freezes=freezes)
            self.world.thaw()

        self.is_undisturbed = False
        self.sky.change_after = after
        self.sky.changed_kind = None
        self.sky.change = end

    @rule(seconds=st.sampled_from([60, FIVE_MINUTES - 30, DAY - 30, DAY + 30, WEEK + 30]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(number=st.sampled_from(NUMBERS), name=st.sampled_from(["", "missingno", "mew"]))
    def rename(self, number: int, name: str) -> None:
        """Rename a Pokémon, or delete it."""
        self.names.pop(number, None)
        if name:
            self.names[number] = f"{name}-{number}"
        self.world.set_names(self.names)

    @rule(fields=FIELDS)
    def call(self, fields: dict[str, Any]) -> None:
        self.invoke(fields, [self.predict(fields)])

    @rule(fields=FIELDS)
    def call_by_http(self, fields: dict[str, Any]) -> None:
        event = http_event("/pokemon", **{key: str(value) for key, value in fields.items()})
        reply = self.invoke(event, [self.predict(fields)])
        names = json.loads(reply["body"])["names"]
        assert reply["statusCode"] in ({200} if names else {404, 502, 504})

    @rule(
        fields=FIELDS,
        kind=st.sampled_from(["404", "503", "up"]),
        seconds=st.sampled_from([FIVE_MINUTES + 30, WEEK + 30]),
    )
    def call_again(self, fields: dict[str, Any], kind: str, seconds: int) -> None:
        """Call once in good weather and once in this kind, with some time in between."""
        kinds = ["up", kind] if seconds > FIVE_MINUTES + 30 else [kind, "up"]
        self.sky.hostile = {}
        for one in kinds:
            self.change_weather(one, None, is_slow=False)
            self.invoke(fields | {"fresh": False}, [self.predict(fields | {"fresh": False})])
            self.now += seconds

    @rule(
        data=st.data(), fields=FIELDS, is_slow=st.booleans(), times=st.sampled_from([2, math.inf])
    )
    def call_in_trouble(
        self, data: st.DataObject, fields: dict[str, Any], times: float, *, is_slow: bool
    ) -> None:
        """Call while a number is poisoned, and the list is poisoned or hostile.

        Another number may be slow.
        """
        number = int(fields["range"].split(",")[0])
        self.change_weather("up", None, is_slow=False)
        self.sky.slow = None
        if is_slow:
            last = number % len(NUMBERS) + 1
            fields = {**fields, "range": f"{number},{last}"}
            self.sky.slow = last
        self.sky.hostile = {}
        self.sky.poison = {number: (data.draw(POISONS), True)}
        if data.draw(st.booleans()):
            self.sky.poison[LIST] = (data.draw(POISONS), True)
        else:
            fault = data.draw(st.sampled_from(sorted(FINAL & {*self.world.faults})))
            self.sky.hostile[LIST] = (fault, times)
        self.invoke(fields, [self.predict(fields)])
        self.sky.hostile = {}
        self.sky.poison = {}

    @rule(fields=FIELDS, seconds=st.sampled_from([1.5, MARGIN, MARGIN + 0.05]))
    def call_with_little_time(self, fields: dict[str, Any], seconds: float) -> None:
        self.invoke(fields, [self.predict(fields, seconds)], seconds)

    @rule(batch=st.lists(FIELDS, min_size=1, max_size=2))
    def take_messages(self, batch: list[dict[str, Any]]) -> None:
        self.invoke(sqs_event(batch), [self.predict(fields) for fields in batch])

    @rule(data=st.data(), strategy=st.sampled_from(STRATEGIES), good=BY_URL)
    def take_a_bad_message(self, data: st.DataObject, strategy: str, good: dict[str, Any]) -> None:
        """Let the list and all numbers of one message fail; the other still gets its names."""
        fault = data.draw(st.sampled_from(sorted({*self.world.faults} - SILENT - self.ending)))
        self.change_weather("up", None, is_slow=False)
        self.sky.poison = {}
        self.sky.hostile = dict.fromkeys([LIST, 1, 2, 3], (fault, math.inf))
        bad = {**good, "range": "1-3", "strategy": strategy}
        predictions = [self.predict(bad), self.predict(good)]
        assert all(ends == {LOST} for ends in predictions[0].ends.values())
        assert LOST not in set().union(*predictions[1].ends.values())
        self.invoke(sqs_event([bad, good]), predictions)
        self.sky.hostile = {}

    @rule(field=st.sampled_from([{"range": "0"}, {"range": "2-1"}, {"strategy": "x"}, {"x": "1"}]))
    def make_a_mistake(self, field: dict[str, Any]) -> None:
        assert self.invoke(field, [])["errorType"] == "InvalidRequest"
        assert self.invoke(http_event("/pokemon", **field), [])["statusCode"] == 400

    @property
    def ending(self) -> set[str]:
        """The faults that end connections even while other requests are in flight on them."""
        return {"refuse", "reset"} if self.world.is_http2 else {"refuse"}

    @property
    def silent(self) -> set[int]:
        """The numbers that are never answered; 0 is the list."""
        return {key for key, (fault, _) in self.sky.hostile.items() if fault in SILENT}

    def kinds(self) -> list[str]:
        """Return the weather now, and the one it will change to, perhaps after this invocation."""
        if math.isinf(self.sky.change_after) or not self.sky.changed_kind:
            return [self.sky.kind]
        return [self.sky.kind, self.sky.changed_kind]

    def truth(self, number: int) -> str:
        return self.names.get(number, GONE)

    def ends(self, number: int, seconds: float, *, is_index: bool) -> set[str]:
        """Return the possible ends of a number that is requested."""
        kinds = self.kinds()
        has_time = seconds >= 30
        if seconds <= MARGIN:
            return {LOST}
        if not set(kinds) & set(GOOD):
            if is_index or "404" not in kinds:
                return {LOST}
            return {UNCONFIRMED} if kinds == ["404"] and has_time else {LOST, UNCONFIRMED}
        unsure = {TRUE, LOST}
        kind, _ = self.sky.poison.get(number, ("", False))
        if not is_index and ("404" in kinds or kind == "404" or self.truth(number) == GONE):
            unsure |= {UNCONFIRMED}
        is_unclear = kinds[-1] not in GOOD or "rate" in kinds or LIST in self.silent
        # Only a request that arrives changes the weather, and while connections are refused, none
        # arrives.
        if not has_time or is_unclear or kinds[0] == "refuse":
            return unsure
        fault, times = self.sky.hostile.get(LIST, ("", 0))
        is_steady = kinds == ["up"]
        if is_steady and math.isinf(times):
            return self._ends_without_list(number, fault, unsure, is_index=is_index)
        is_clear = not times and LIST not in self.sky.poison
        return {TRUE} if is_steady or is_clear else unsure

    def _ends_without_list(
        self, number: int, list_fault: str, unsure: set[str], *, is_index: bool
    ) -> set[str]:
        """Return the possible ends in good weather if the list always fails."""
        if is_index:
            return {LOST}
        _, times = self.sky.hostile.get(number, ("", 0))
        is_gone = self.truth(number) == GONE
        poison, has_slash = self.sky.poison.get(number, ("", False))
        if poison and has_slash and list_fault in FINAL and not times and not is_gone:
            return {TRUE}  # the other spelling has a retry left
        if poison or 0 < times < math.inf or list_fault in self.ending:
            return unsure
        if times:
            return {LOST}
        return {UNCONFIRMED if is_gone else TRUE}

    def predict(self, fields: dict[str, Any], seconds: float = 30.0) -> Prediction:
        """Return the prediction for a request."""
        first, _, last = fields["range"].partition("-")
        numbers = [int(number) for number in first.split(",")]
        if last:
            numbers = list(range(int(first), int(last) + 1))
        is_index = fields["strategy"] == "index"
        cached: dict[int, str] = {}
        ends: dict[int, set[str]] = {}
        expired: dict[int, str] = {}
        for number in numbers:
            if str(fields["fresh"]).lower() == "false":
                name, fresh_until = self.known.get(number, ("", 0))
                if self.absent.get(number, 0) > self.now:
                    cached[number] = GONE
                    continue
                if name and fresh_until > self.now:
                    cached[number] = name
                    continue
                if name:
                    expired[number] = name
            ends[number] = self.ends(number, seconds, is_index=is_index)
        return Prediction(numbers, is_index, cached, ends, expired)

    def invoke(
        self, event: Any, predictions: list[Prediction], seconds: float = 30.0
    ) -> dict[str, Any]:
        """Invoke the function, check its reply and its reports, and return the reply."""
        before = self.world.count()
        is_same = before == self.total_requests
        assert is_same or not self.is_exact, "a request arrived after the reply"
        every_end = [ends for one in predictions for ends in one.ends.values()]
        waits = self.waits(every_end, predictions)
        has_time = seconds == 30
        self.is_exact = has_time and waits == PATIENCE and "silence" not in self.kinds()
        kinds = self.kinds()
        self.sky.is_watched = True
        answer = self.world.ask(
            "invoke",
            event=event,
            seconds=seconds,
            now=self.now,
            **(waits if has_time else PATIENCE),
        )
        self.sky.is_watched = False
        self.total_requests = self.world.count()
        self.requests = self.total_requests - before
        assert self.requests <= sum(map(self.most_requests, predictions)) * (seconds > MARGIN)
        assert answer["seconds"] < seconds + STALL
        assert answer["tasks"] == []
        reply = answer["reply"]
        assert isinstance(reply, dict)
        assert "Traceback" not in json.dumps(reply)
        self.check(predictions, answer["reports"], reply, kinds)
        return reply

    def waits(self, every_end: list[set[str]], predictions: list[Prediction]) -> dict[str, float]:
        """Return the timeouts in seconds, which are short if something is silent.

        If a name is certain, only the time after which requests lag is short.
        """
        numbers = {number for one in predictions if not one.is_index for number in one.ends}
        is_silent = self.silent & {LIST, *numbers}
        if {TRUE} in every_end:
            return PATIENCE | {"lag": 0.04} if is_silent else PATIENCE
        if is_silent or "silence" in self.kinds():
            return {"silence": 0.04, "straggler": 0.04, "lag": 60.0}
        return PATIENCE

    def most_requests(self, prediction: Prediction) -> int:
        """Return how many HTTP requests a request may send at most."""
        own = len(prediction.ends) * (1 + POLICY.own_retries)
        shared = POLICY.shared_retries + len(prediction.ends)
        most = own + shared + POLICY.max_list_attempts
        if self.world.is_http2:
            # Requests whose connection ends are retried, each time with half as many others.
            most += (len(prediction.ends) + 1) * len(prediction.ends).bit_length()
        return most if prediction.ends else 0

    def check(
        self,
        predictions: list[Prediction],
        reports: list[dict[str, Any]],
        reply: dict[str, Any],
        kinds: list[str],
    ) -> None:
        """Compare the reports with the predictions, and update the model."""
        assert len(reports) == len(predictions)
        origins = list(map(self.origins, predictions, reports))
        if "batchItemFailures" in reply:
            failed = {int(one["itemIdentifier"]) for one in reply["batchItemFailures"]}
            for index, report in enumerate(reports):
                reasons = {failure["reason"] for failure in report["failures"]}
                assert (index in failed) == bool(reasons - {"not_found"})
        attempts = [attempt for report in reports for attempt in report["trace"]]
        if self.is_undisturbed and self.is_exact:
            assert len(attempts) == self.requests
            if kinds == ["up"] and not self.sky.hostile and not self.sky.poison:
                slowest = max([one["end_ms"] - one["start_ms"] for one in attempts] or [0])
                fewest = sum(map(self.fewest_requests, predictions))
                assert len(attempts) == fewest or slowest > SLOW_MS
        self.remember(origins)

    def fewest_requests(self, prediction: Prediction) -> int:
        """Return how many HTTP requests a request needs if nothing fails."""
        if prediction.is_index:
            return min(1, len(prediction.ends))
        return len(prediction.ends) + any(self.truth(number) == GONE for number in prediction.ends)

    def origins(self, prediction: Prediction, report: dict[str, Any]) -> dict[int, str]:
        """Check the outcome of each number, and return the origins of those that were requested."""
        failures = {failure["number"]: failure["reason"] for failure in report["failures"]}
        answered = {attempt["number"] for attempt in report["trace"] if attempt["ok"]}
        names = iter(report["names"])
        origins: dict[int, str] = {}
        listed = 0
        for number in prediction.numbers:
            outcome = FAILED
            if number not in failures:
                outcome = next(names)
            elif failures[number] == "not_found":
                outcome = GONE
            if number in prediction.cached:
                assert outcome == prediction.cached[number]
                continue
            origins[number] = self.origin(number, outcome, prediction, answered)
            assert MEANINGS[origins[number]] & prediction.ends[number]
            listed += origins[number] == LISTED and outcome != GONE
        assert not list(names)
        counts = Counter(origins.values())
        timing = report["timing"]
        assert timing["cached"] == len(prediction.cached)
        assert 0 <= timing["stale"] - counts[STALE] <= counts[UNSURE]
        # If the number's own answer arrived as well, the list may still have been first.
        either = counts[OWN] if None in answered else 0
        assert 0 <= timing["listed"] - listed <= counts[UNSURE] + either
        assert timing["requests"] == len(report["trace"])
        return origins

    def origin(
        self, number: int, outcome: str, prediction: Prediction, answered: Collection[int | None]
    ) -> str:
        """Return the origin of one outcome."""
        expired = prediction.expired.get(number)
        is_listed = None in answered
        if outcome == FAILED or (outcome == GONE and not is_listed):
            assert expired is None
            return LOST if outcome == FAILED else UNCONFIRMED
        if number in answered or (is_listed and outcome != expired):
            assert outcome == self.truth(number)
            return OWN if number in answered else LISTED
        if is_listed and outcome == self.truth(number) and TRUE in prediction.ends[number]:
            return LISTED if prediction.ends[number] == {TRUE} else UNSURE
        assert outcome == expired
        return STALE

    def remember(self, origins_of_all: Sequence[Mapping[int, str]]) -> None:
        """Note what the function has cached; if that is unclear, let it forget everything.

        A name stays fresh for a week, and the function renews it only after a seventh of that time.
        """
        origins_of: dict[int, set[str]] = {}
        for one in origins_of_all:
            for number, origin in one.items():
                origins_of.setdefault(number, set()).add(origin)
        if any(UNSURE in some or {LISTED, UNCONFIRMED} <= some for some in origins_of.values()):
            self.known.clear()
            self.absent.clear()
            self.world.ask("begin")
            return
        for number, origins in origins_of.items():
            name = self.truth(number)
            known, fresh_until = self.known.get(number, ("", 0))
            if origins & {OWN, LISTED}:
                self.absent.pop(number, None)
                if name == GONE:
                    self.known.pop(number, None)
                    self.absent[number] = self.now + DAY
                elif name != known or fresh_until < self.now + WEEK - DAY:
                    self.known[number] = (name, self.now + WEEK)
            elif UNCONFIRMED in origins and not known:
                self.absent[number] = self.now + FIVE_MINUTES

    def teardown(self) -> None:
        self.world.reset_and_check()


@pytest.mark.hypothesis
@pytest.mark.parametrize("is_http2", [False, True], ids=["http1", "http2"])
def test_every_reply_is_one_that_the_weather_allows(
    tls: ssl.SSLContext, tmp_path: Path, *, is_http2: bool
) -> None:
    profile = settings(stateful_step_count=STEPS)
    if profile.derandomize:
        profile = settings(profile, max_examples=EXAMPLES)
    with ExitStack() as stack:
        log = tmp_path / "log"
        world = World(stack, log, tls if is_http2 else None, has_timeouts=HAS_TIMEOUTS)
        machine: Any = partial(FunctionInWeather, world)
        run_state_machine_as_test(machine, settings=profile)
