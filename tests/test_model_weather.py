"""The function in weather that changes, and a model of what each of its replies may say."""

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
# What only a timeout ends is for `make fuzz`: on a busy machine, a good answer may take as long.
HAS_TIMEOUTS = not settings().derandomize
MARGIN = 2.0  # seconds of an invocation that are not for fetching
STALL = 5.0  # seconds that a busy machine may add, less than a silence lasts
SLOW_MS = 180  # a request that may have timed out
MINUTES = 300
DAY = 24 * 60 * 60
WEEK = 7 * DAY
PATIENCE = {"silence": 11.0, "straggler": 5.0, "lag": 60.0}  # seconds; no request ever lags

# What a number is, in place of its name.
GONE = "not found"
FAILED = "failed"

# What may come of a number: the truth, a 404 that no list confirms, or an error.
TRUE = "true"
ALONE = "404 alone"
LOST = "lost"

# The result of a number: right, from one of two places, or else an expired name.
OWN = "by its URL"
LISTED = "by the list"
STALE = "stale"
UNSURE = "listed or stale"
MEANINGS = {
    OWN: {TRUE},
    LISTED: {TRUE},
    ALONE: {ALONE},
    LOST: {LOST},
    STALE: {ALONE, LOST},
    UNSURE: {TRUE},
}

KINDS = st.sampled_from([*GOOD, *DOWN])
ENDS = st.sampled_from(["close", "reset", *(["forget"] if HAS_TIMEOUTS else [])])
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
GATHERED = st.fixed_dictionaries(
    {
        "range": st.just("4-6"),
        "strategy": st.sampled_from(["gather", "sequential", "sync"]),
        "fresh": st.just("true"),
        "trace": st.just("true"),
    }
)


class Asked(NamedTuple):
    """A request, and what the model says of its numbers.

    `cached` are those that need no request, and what they are. Of each other one, `ends` says what
    may come of it, and `expired` has its name that has expired, if there is one.
    """

    numbers: Sequence[int]
    is_index: bool
    cached: Mapping[int, str]
    ends: Mapping[int, set[str]]
    expired: Mapping[int, str]


class FunctionInWeather(RuleBasedStateMachine):
    """`is_undisturbed` says that no connection has ended, `is_exact` that all was waited for."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.sky = world.sky
        self.now = 0
        self.names = dict(NAMES)
        self.known: dict[int, tuple[str, int]] = {}  # and until when it is fresh
        self.absent: dict[int, int] = {}  # until when
        self.is_undisturbed = True
        self.is_exact = False
        self.requests = 0
        self.in_all = world.count()

    @initialize(kind=KINDS, slow=st.none() | st.integers(0, 6))
    def begin(self, kind: str, slow: int | None) -> None:
        """Begin in any weather, so that no example needs another rule for that."""
        self.turn(kind, None, is_slow=False)
        self.sky.slow = slow

    @rule(kind=KINDS, later=st.none() | st.tuples(st.integers(1, 4), KINDS), is_slow=st.booleans())
    def turn(self, kind: str, later: tuple[int, str] | None, *, is_slow: bool) -> None:
        """Change the weather, now and, if so, after some requests."""
        self.world.turn(kind)
        self.sky.delay = self.world.service.delay = 0.01 if is_slow else 0.0
        self.sky.change_after = math.inf
        if later and (HAS_TIMEOUTS or kind != "silence"):
            self.sky.change_after, later_kind = later
            self.sky.changed_kind = later_kind
            self.sky.change = lambda: self.world.turn(later_kind)
        self.is_undisturbed &= not self.ending & set(self.kinds())

    @rule(data=st.data(), number=st.integers(0, 6), times=TIMES)
    def be_hostile(self, data: st.DataObject, number: int, times: float) -> None:
        """Fail one number or the list that many times, or none from now on."""
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
        """Let one spelling of a path fail for good, and heal the others or not."""
        if heals:
            self.sky.poison = {}
        self.sky.poison[number] = (kind, has_slash)

    @rule(how=ENDS, freezes=st.booleans())
    def end_connections(self, how: str, *, freezes: bool) -> None:
        """End all connections, while the process is frozen or not: then until the next event."""
        self.is_undisturbed = False
        if freezes:
            self.world.freeze()
        self.world.end_connections(how)

    @rule(how=ENDS, freezes=st.booleans(), after=st.integers(1, 4))
    def end_connections_later(self, how: str, after: int, *, freezes: bool) -> None:
        """Do the same after some requests."""

        def end() -> None:
            self.end_connections(how, freezes=freezes)
            self.world.thaw()

        self.is_undisturbed = False
        self.sky.change_after = after
        self.sky.changed_kind = None
        self.sky.change = end

    @rule(seconds=st.sampled_from([60, MINUTES - 30, DAY - 30, DAY + 30, WEEK + 30]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(number=st.sampled_from(NUMBERS), name=st.sampled_from(["", "missingno", "mew"]))
    def rename(self, number: int, name: str) -> None:
        """Let a Pokémon have another name, or cease to exist."""
        self.names.pop(number, None)
        if name:
            self.names[number] = f"{name}-{number}"
        self.world.name(self.names)

    @rule(fields=FIELDS)
    def call(self, fields: dict[str, Any]) -> None:
        self.invoke(fields, [self.expect(fields)])

    @rule(fields=FIELDS)
    def call_by_http(self, fields: dict[str, Any]) -> None:
        event = http_event("/pokemon", **{key: str(value) for key, value in fields.items()})
        reply = self.invoke(event, [self.expect(fields)])
        names = json.loads(reply["body"])["names"]
        assert reply["statusCode"] in ({200} if names else {404, 502, 504})

    @rule(
        fields=FIELDS,
        kind=st.sampled_from(["404", "503", "up"]),
        seconds=st.sampled_from([MINUTES + 30, WEEK + 30]),
    )
    def call_again(self, fields: dict[str, Any], kind: str, seconds: int) -> None:
        """Call in good weather or in this one, and after some time in the other one."""
        kinds = ["up", kind] if seconds > MINUTES + 30 else [kind, "up"]
        self.sky.hostile = {}
        for then in kinds:
            self.turn(then, None, is_slow=False)
            self.invoke(fields | {"fresh": False}, [self.expect(fields | {"fresh": False})])
            self.now += seconds

    @rule(
        data=st.data(), fields=FIELDS, is_slow=st.booleans(), times=st.sampled_from([2, math.inf])
    )
    def call_in_trouble(
        self, data: st.DataObject, fields: dict[str, Any], times: float, *, is_slow: bool
    ) -> None:
        """Call where one number fails for good, and the list at times, or for good.

        Another number may be slow.
        """
        number = int(fields["range"].split(",")[0])
        self.turn("up", None, is_slow=False)
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
        self.invoke(fields, [self.expect(fields)])
        self.sky.hostile = {}
        self.sky.poison = {}

    @rule(fields=FIELDS, seconds=st.sampled_from([1.5, MARGIN, MARGIN + 0.05]))
    def call_with_little_time(self, fields: dict[str, Any], seconds: float) -> None:
        self.invoke(fields, [self.expect(fields, seconds)], seconds)

    @rule(batch=st.lists(FIELDS, min_size=1, max_size=2))
    def take_messages(self, batch: list[dict[str, Any]]) -> None:
        self.invoke(sqs_event(batch), [self.expect(fields) for fields in batch])

    @rule(data=st.data(), strategy=st.sampled_from(STRATEGIES), good=GATHERED)
    def take_a_bad_message(self, data: st.DataObject, strategy: str, good: dict[str, Any]) -> None:
        """Fail all numbers of one message, and the list: the other message has its own names."""
        fault = data.draw(st.sampled_from(sorted({*self.world.faults} - SILENT - self.ending)))
        self.turn("up", None, is_slow=False)
        self.sky.poison = {}
        self.sky.hostile = dict.fromkeys([LIST, 1, 2, 3], (fault, math.inf))
        bad = {**good, "range": "1-3", "strategy": strategy}
        expected = [self.expect(bad), self.expect(good)]
        assert all(ends == {LOST} for ends in expected[0].ends.values())
        assert LOST not in set().union(*expected[1].ends.values())
        self.invoke(sqs_event([bad, good]), expected)
        self.sky.hostile = {}

    @rule(field=st.sampled_from([{"range": "0"}, {"range": "2-1"}, {"strategy": "x"}, {"x": "1"}]))
    def make_a_mistake(self, field: dict[str, Any]) -> None:
        assert self.invoke(field, [])["errorType"] == "InvalidRequest"
        assert self.invoke(http_event("/pokemon", **field), [])["statusCode"] == 400

    @property
    def ending(self) -> set[str]:
        """The faults that end connections which others may be on."""
        return {"refuse", "reset"} if self.world.is_http2 else {"refuse"}

    @property
    def silent(self) -> set[int]:
        """The numbers that are never answered, 0 for the list."""
        return {key for key, (fault, _) in self.sky.hostile.items() if fault in SILENT}

    def kinds(self) -> list[str]:
        """Return the weather now, and what it will be in this invocation or a later one."""
        if math.isinf(self.sky.change_after) or not self.sky.changed_kind:
            return [self.sky.kind]
        return [self.sky.kind, self.sky.changed_kind]

    def truth(self, number: int) -> str:
        return self.names.get(number, GONE)

    def ends(self, number: int, seconds: float, *, is_index: bool) -> set[str]:
        """Return what may come of a number that is requested."""
        kinds = self.kinds()
        has_time = seconds >= 30
        if seconds <= MARGIN:
            return {LOST}
        if not set(kinds) & set(GOOD):
            if is_index or "404" not in kinds:
                return {LOST}
            return {ALONE} if kinds == ["404"] and has_time else {LOST, ALONE}
        unsure = {TRUE, LOST}
        kind, _ = self.sky.poison.get(number, ("", False))
        if not is_index and ("404" in kinds or kind == "404" or self.truth(number) == GONE):
            unsure |= {ALONE}
        is_unclear = kinds[-1] not in GOOD or "rate" in kinds or LIST in self.silent
        if not has_time or is_unclear or kinds[0] == "refuse":  # without a request, no change
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
        """Do the same where the list fails for good in good weather."""
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
        return {ALONE if is_gone else TRUE}

    def expect(self, fields: dict[str, Any], seconds: float = 30.0) -> Asked:
        """Return what the model says of a request."""
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
        return Asked(numbers, is_index, cached, ends, expired)

    def invoke(self, event: Any, expected: list[Asked], seconds: float = 30.0) -> dict[str, Any]:
        """Return the reply, which is as any reply must be, and check the report of each request."""
        before = self.world.count()
        assert before == self.in_all or not self.is_exact, "a request came after the reply"
        every_end = [ends for asked in expected for ends in asked.ends.values()]
        waits = self.waits(every_end, expected)
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
        self.in_all = self.world.count()
        self.requests = self.in_all - before
        assert self.requests <= sum(map(self.most, expected)) * (seconds > MARGIN)
        assert answer["seconds"] < seconds + STALL
        assert answer["tasks"] == []
        reply = answer["reply"]
        assert isinstance(reply, dict)
        assert "Traceback" not in json.dumps(reply)
        self.check(expected, answer["reports"], reply, kinds)
        return reply

    def waits(self, every_end: list[set[str]], expected: list[Asked]) -> dict[str, float]:
        """Return what to wait for, in seconds: what must come as long as in production."""
        numbers = {number for asked in expected if not asked.is_index for number in asked.ends}
        is_silent = self.silent & {LIST, *numbers}
        if {TRUE} in every_end:
            return PATIENCE | {"lag": 0.04} if is_silent else PATIENCE
        if is_silent or "silence" in self.kinds():
            return {"silence": 0.04, "straggler": 0.04, "lag": 60.0}
        return PATIENCE

    def most(self, asked: Asked) -> int:
        """Return how many requests may be sent for a request."""
        own = len(asked.ends) * (1 + POLICY.own_retries)
        shared = POLICY.shared_retries + len(asked.ends)
        most = own + shared + POLICY.max_list_attempts
        if self.world.is_http2:  # the requests that go on with half as many others
            most += (len(asked.ends) + 1) * len(asked.ends).bit_length()
        return most if asked.ends else 0

    def check(
        self,
        expected: list[Asked],
        reports: list[dict[str, Any]],
        reply: dict[str, Any],
        kinds: list[str],
    ) -> None:
        """Compare reports with what the model says, and let the model know of them."""
        assert len(reports) == len(expected)
        came = list(map(self.came, expected, reports))
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
                assert len(attempts) == sum(map(self.fewest, expected)) or slowest > SLOW_MS
        self.remember(came)

    def fewest(self, asked: Asked) -> int:
        """Return how many requests a request needs when all is well."""
        if asked.is_index:
            return min(1, len(asked.ends))
        return len(asked.ends) + any(self.truth(number) == GONE for number in asked.ends)

    def came(self, asked: Asked, report: dict[str, Any]) -> dict[int, str]:
        """Return what has come of each number that was requested, which is as the model says."""
        failures = {failure["number"]: failure["reason"] for failure in report["failures"]}
        answered = {attempt["number"] for attempt in report["trace"] if attempt["ok"]}
        names = iter(report["names"])
        came: dict[int, str] = {}
        listed = 0
        for number in asked.numbers:
            outcome = FAILED
            if number not in failures:
                outcome = next(names)
            elif failures[number] == "not_found":
                outcome = GONE
            if number in asked.cached:
                assert outcome == asked.cached[number]
                continue
            came[number] = self.came_of(number, outcome, asked, answered)
            assert MEANINGS[came[number]] & asked.ends[number]
            listed += came[number] == LISTED and outcome != GONE
        assert not list(names)
        counts = Counter(came.values())
        timing = report["timing"]
        assert timing["cached"] == len(asked.cached)
        assert 0 <= timing["stale"] - counts[STALE] <= counts[UNSURE]
        # The list may have been faster than an answer that came.
        either = counts[OWN] if None in answered else 0
        assert 0 <= timing["listed"] - listed <= counts[UNSURE] + either
        assert timing["requests"] == len(report["trace"])
        return came

    def came_of(
        self, number: int, outcome: str, asked: Asked, answered: Collection[int | None]
    ) -> str:
        """Return what has come of one number."""
        expired = asked.expired.get(number)
        is_listed = None in answered
        if outcome == FAILED or (outcome == GONE and not is_listed):
            assert expired is None
            return LOST if outcome == FAILED else ALONE
        if number in answered or (is_listed and outcome != expired):
            assert outcome == self.truth(number)
            return OWN if number in answered else LISTED
        if is_listed and outcome == self.truth(number) and TRUE in asked.ends[number]:
            return LISTED if asked.ends[number] == {TRUE} else UNSURE
        assert outcome == expired
        return STALE

    def remember(self, every_came: Sequence[Mapping[int, str]]) -> None:
        """Note what the function has stored, or let it forget all if that is not clear.

        A name is stored again only after a day, a seventh of a week.
        """
        ends: dict[int, set[str]] = {}
        for came in every_came:
            for number, end in came.items():
                ends.setdefault(number, set()).add(end)
        if any(UNSURE in some or {LISTED, ALONE} <= some for some in ends.values()):
            self.known.clear()
            self.absent.clear()
            self.world.ask("begin")
            return
        for number, some in ends.items():
            name = self.truth(number)
            known, fresh_until = self.known.get(number, ("", 0))
            if some & {OWN, LISTED}:
                self.absent.pop(number, None)
                if name == GONE:
                    self.known.pop(number, None)
                    self.absent[number] = self.now + DAY
                elif name != known or fresh_until < self.now + WEEK - DAY:
                    self.known[number] = (name, self.now + WEEK)
            elif ALONE in some and not known:
                self.absent[number] = self.now + MINUTES

    def teardown(self) -> None:
        self.world.calm()


@pytest.mark.hypothesis
@pytest.mark.parametrize("is_http2", [False, True], ids=["http1", "http2"])
def test_every_reply_is_as_the_weather_allows(
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
