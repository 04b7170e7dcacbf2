"""The function in weather that changes, and a model of what each of its replies may say."""

import json
import math
import ssl
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from pokemon_names.fetching.retry import OWN_RETRIES
from pokemon_names.model import STRATEGIES
from tests.conftest import http_event
from tests.tools.environment import SHARED_RETRIES
from tests.world import DOWN, FINAL, GOOD, LIST, NAMES, NUMBERS, SILENT, World, sqs_event

EXAMPLES = 25  # in `make test`
STEPS = 20
MARGIN = 2.0  # seconds of an invocation that are not for fetching
SLOW_MS = 180  # a request that may have timed out
DAY = 24 * 60 * 60
WEEK = 7 * DAY

# What a number is, in place of its name.
GONE = "not found"
FAILED = "failed"

KINDS = st.sampled_from([*GOOD, *DOWN])
RANGES = st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=5, unique=True)
FIELDS = st.fixed_dictionaries(
    {
        "range": RANGES.map(lambda numbers: ",".join(map(str, numbers))),
        "strategy": st.sampled_from(STRATEGIES),
        "fresh": st.booleans(),
        "trace": st.just("true"),
    }
)


class Asked(NamedTuple):
    """A request, and what the model says of its numbers.

    `cached` are those that need no request. Of each other one, `comes` says whether PokeAPI's
    answer may come or not, and `fallbacks` has what it is without one.
    """

    numbers: Sequence[int]
    keys: Collection[int]
    cached: Mapping[int, str]
    comes: Mapping[int, set[bool]]
    fallbacks: Mapping[int, str]


class FunctionInWeather(RuleBasedStateMachine):
    """`is_undisturbed` says that no connection has ended, `is_cut` that not all was waited for."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.sky = world.sky
        self.now = 0
        self.names = dict(NAMES)
        self.cache: dict[int, tuple[str, int]] = {}  # and until when it is fresh
        self.is_undisturbed = True
        self.is_cut = False
        self.requests = 0

    @rule(kind=KINDS, later=st.none() | st.tuples(st.integers(1, 4), KINDS), is_slow=st.booleans())
    def turn(self, kind: str, later: tuple[int, str] | None, *, is_slow: bool) -> None:
        """Change the weather, now and, if so, after some requests."""
        self.world.turn(kind)
        self.sky.delay = self.world.service.delay = 0.01 if is_slow else 0.0
        self.sky.change_after = math.inf
        if later:
            self.sky.change_after, later_kind = later
            self.sky.changed_kind = later_kind
            self.sky.change = lambda: self.world.turn(later_kind)
        self.is_undisturbed &= not self.ending & set(self.kinds())

    @rule(data=st.data(), number=st.integers(0, 6), times=st.sampled_from([0, 1, 2, math.inf]))
    def be_hostile(self, data: st.DataObject, number: int, times: float) -> None:
        """Fail one number, so many times, or none from now on."""
        fault = data.draw(st.sampled_from(self.world.faults))
        if not times or fault in SILENT:
            self.sky.hostile = {}
        if times:
            never = fault in SILENT | FINAL
            self.sky.hostile[number] = (fault, math.inf if never else times)
        self.is_undisturbed &= fault not in self.ending

    @rule(how=st.sampled_from(["close", "reset", "forget"]), freezes=st.booleans())
    def end_connections(self, how: str, *, freezes: bool) -> None:
        """End all connections, while the process is frozen or not: then until the next event."""
        self.is_undisturbed = False
        if freezes:
            self.world.freeze()
        self.world.end_connections(how)

    @rule(
        how=st.sampled_from(["close", "reset", "forget"]),
        freezes=st.booleans(),
        after=st.integers(1, 4),
    )
    def end_connections_later(self, how: str, after: int, *, freezes: bool) -> None:
        """Do the same after some requests."""

        def end() -> None:
            self.end_connections(how, freezes=freezes)
            self.world.thaw()

        self.is_undisturbed = False
        self.sky.change_after = after
        self.sky.changed_kind = None
        self.sky.change = end

    @rule(seconds=st.sampled_from([60, DAY - 30, DAY + 30, WEEK + 30]))
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
        asked = self.expect(fields)
        self.check(asked, self.invoke(fields, [asked]))

    @rule(fields=FIELDS)
    def call_by_http(self, fields: dict[str, Any]) -> None:
        asked = self.expect(fields)
        event = http_event("/pokemon", **{key: str(value) for key, value in fields.items()})
        reply = self.invoke(event, [asked])
        report = json.loads(reply["body"])
        assert reply["statusCode"] in ({200} if report["names"] else {404, 502, 504})
        self.check(asked, report)

    @rule(fields=FIELDS, seconds=st.sampled_from([1.5, MARGIN, MARGIN + 0.05]))
    def call_with_little_time(self, fields: dict[str, Any], seconds: float) -> None:
        asked = self.expect(fields, seconds)
        self.check(asked, self.invoke(fields, [asked], seconds))

    @rule(batch=st.lists(FIELDS, min_size=1, max_size=2))
    def take_messages(self, batch: list[dict[str, Any]]) -> None:
        expected = [self.expect(fields) for fields in batch]
        is_certain = all(len(comes) == 1 for asked in expected for comes in asked.comes.values())
        if not is_certain or any(fault in SILENT for fault, _ in self.sky.hostile.values()):
            return  # the reply does not say what came, and nobody's time is short
        reply = self.invoke(sqs_event(batch), expected)
        failed = {int(one["itemIdentifier"]) for one in reply["batchItemFailures"]}
        for index, asked in enumerate(expected):
            came = [number for number, comes in asked.comes.items() if True in comes]
            lost = [asked.fallbacks[number] for number in asked.comes if number not in came]
            assert (index in failed) == (FAILED in lost)
            self.remember(asked, came)

    @rule(field=st.sampled_from([{"range": "0"}, {"range": "2-1"}, {"strategy": "x"}, {"x": "1"}]))
    def make_a_mistake(self, field: dict[str, Any]) -> None:
        assert self.invoke(field, [])["errorType"] == "InvalidRequest"
        assert self.invoke(http_event("/pokemon", **field), [])["statusCode"] == 400

    @property
    def ending(self) -> set[str]:
        """The faults that end connections which others may be on."""
        return {"refuse", "reset"} if self.world.is_http2 else {"refuse"}

    def kinds(self) -> list[str]:
        """Return the weather now, and what it will be in this invocation or a later one."""
        if math.isinf(self.sky.change_after) or not self.sky.changed_kind:
            return [self.sky.kind]
        return [self.sky.kind, self.sky.changed_kind]

    def truth(self, number: int) -> str:
        return self.names.get(number, GONE)

    def comes(self, key: int, seconds: float) -> set[bool]:
        """Return whether PokeAPI's answer for a number may come or not."""
        kinds = self.kinds()
        _, times = self.sky.hostile.get(key, ("", 0))
        if math.isinf(times) or seconds <= MARGIN or not set(kinds) & set(GOOD):
            return {False}
        if seconds < 30 or kinds[-1] not in GOOD or "rate" in kinds:
            return {True, False}
        if kinds[0] == "refuse":  # without a request there is no change
            return {True, False}
        if "limit" in kinds and self.sky.hostile:  # each second request may be this number's
            return {True, False}
        return {True}

    def expect(self, fields: dict[str, Any], seconds: float = 30.0) -> Asked:
        """Return what the model says of a request."""
        numbers = [int(number) for number in fields["range"].split(",")]
        is_index = fields["strategy"] == "index"
        cached: dict[int, str] = {}
        comes: dict[int, set[bool]] = {}
        fallbacks: dict[int, str] = {}
        for number in numbers:
            name, fresh_until = self.cache.get(number, (GONE, 0))
            if fields["fresh"]:
                name = GONE
            elif fresh_until > self.now:
                cached[number] = name
                continue
            fallbacks[number] = FAILED if name == GONE else name
            comes[number] = self.comes(LIST if is_index else number, seconds)
        keys = [LIST] if is_index and comes else list(comes)
        return Asked(numbers, keys, cached, comes, fallbacks)

    def invoke(self, event: Any, expected: list[Asked], seconds: float = 30.0) -> dict[str, Any]:
        """Return the reply, which is as any reply must be."""
        keys = {key for asked in expected for key in asked.keys}
        has_silent = any(self.sky.hostile.get(key, ("", 0))[0] in SILENT for key in keys)
        self.is_cut = seconds < 30 or has_silent or "silence" in self.kinds()
        must_come = any({True} in asked.comes.values() for asked in expected)
        before = self.world.count()
        self.sky.is_watched = True
        answer = self.world.ask(
            "invoke",
            event=event,
            seconds=seconds,
            now=self.now,
            # What must come is waited for as long as in production.
            silence=0.04 if self.is_cut and not must_come else 11.0,
            straggler=0.04 if has_silent else 5.0,
        )
        most = 0
        for asked in expected:
            most += len(asked.keys) * (1 + OWN_RETRIES) + len(asked.comes) + SHARED_RETRIES
            if self.world.is_http2:  # the requests that go on with half as many others
                most += len(asked.keys) * len(asked.keys).bit_length()
        self.sky.is_watched = False
        self.requests = self.world.count() - before
        assert self.requests <= (most if seconds > MARGIN else 0)
        assert answer["seconds"] < seconds
        reply = answer["reply"]
        assert isinstance(reply, dict)
        assert "Traceback" not in json.dumps(reply)
        return reply

    def check(self, asked: Asked, report: dict[str, Any]) -> None:
        """Compare a report with what the model says, and let the model know of it."""
        failures = {failure["number"]: failure["reason"] for failure in report["failures"]}
        answered = {attempt["number"] for attempt in report["trace"] if attempt["ok"]}
        names = iter(report["names"])
        stale = 0
        came = []
        for number in asked.numbers:
            if number not in failures:
                outcome = next(names)
            else:
                outcome = GONE if failures[number] == "not_found" else FAILED
            if number in asked.cached:
                assert outcome == asked.cached[number]
                continue
            has_come = bool({number, None} & answered) or outcome == GONE
            assert has_come in asked.comes[number]
            if has_come:
                assert outcome == self.truth(number)
                came.append(number)
            else:
                assert outcome == asked.fallbacks[number]
                stale += outcome != FAILED
        assert not list(names)
        timing = report["timing"]
        assert timing["cached"] == len(asked.cached)
        assert timing["stale"] == stale
        assert timing["requests"] == len(report["trace"])
        if self.is_undisturbed and not self.is_cut:
            assert timing["requests"] == self.requests
            if self.kinds() == ["up"] and not self.sky.hostile.keys() & set(asked.keys):
                slowest = max([one["end_ms"] - one["start_ms"] for one in report["trace"]] or [0])
                assert timing["requests"] == len(asked.keys) or slowest > SLOW_MS
        self.remember(asked, came)

    def remember(self, asked: Asked, came: Sequence[int]) -> None:
        """Note what the function has stored: a name again only after a day, a seventh of a week."""
        for number in came:
            name = self.truth(number)
            known, fresh_until = self.cache.get(number, (GONE, 0))
            if name == GONE:
                if LIST not in asked.keys:  # it proves no number missing
                    self.cache[number] = (GONE, self.now + DAY)
            elif name != known or fresh_until < self.now + WEEK - DAY:
                self.cache[number] = (name, self.now + WEEK)

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
        world = World(stack, tmp_path / "log", tls if is_http2 else None)
        machine: Any = partial(FunctionInWeather, world)
        run_state_machine_as_test(machine, settings=profile)
