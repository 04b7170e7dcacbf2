"""Direct calls: the event is the request, and a bad one raises."""

from typing import Any

import pytest

from pokemon_names.model import Fetched, Found, InvalidRequest
from pokemon_names.report import Outcome, Report
from pokemon_names.sources import direct
from tests.conftest import SETTINGS, Handle, LoadApp, make_request
from tests.tools.invoke import Context


@pytest.mark.parametrize(
    ("event", "shown"),
    [(None, "null"), ([], "[]"), ("1-150", "1-150"), (151, "151"), (True, "true")],
)
def test_an_event_that_is_not_an_object_is_invalid(warm: Handle, event: Any, shown: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        warm(event)
    assert str(caught.value) == f"event: got '{shown}', allowed: a JSON object"


@pytest.mark.parametrize("strategy", ["sequential", "sync"])
def test_the_limit_on_slow_strategies_does_not_apply_to_direct_calls(
    load_app: LoadApp, strategy: str
) -> None:
    app = load_app(MAX_SEQUENTIAL_NUMBERS="1")
    assert app.handler({"range": "1-3", "strategy": strategy}, Context())["count"] == 3


@pytest.mark.parametrize(
    "event",
    [
        {"access_token": "s3cret", "range": "1"},
        {"Records": "s3cret"},
        {"Records": [{"access_token": "s3cret"}]},
        {"Records": [{"eventSource": {"access_token": "s3cret"}}]},
        {"access_token": "s3cret", "source": "aws.iam"},
        {"task": "plan", "access_token": "s3cret"},
        {"task": "s3cret", "x": 1},
    ],
)
def test_a_refusal_never_shows_the_value_of_an_unknown_field(
    warm: Handle, caplog: pytest.LogCaptureFixture, event: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match=r"got ") as caught:
        warm(event)
    logged = [vars(record) for record in caplog.records]
    assert "s3cret" not in str(caught.value) + str(logged)


@pytest.mark.parametrize(("count", "is_sent"), [(14_000, True), (15_000, False)])
def test_a_report_that_lambda_cannot_send_is_refused(*, count: int, is_sent: bool) -> None:
    invocation = direct.read({"range": "1"}, SETTINGS)
    found = [Found(number, "\N{LIZARD}" * 100) for number in range(count)]
    outcome = Outcome(Report(make_request(), Fetched(found, [], 1.0)))
    if is_sent:
        assert invocation.reply([outcome])["count"] == count
    else:
        with pytest.raises(InvalidRequest, match=r"^reply: got '6,0.* bytes', allowed: at most 6,"):
            invocation.reply([outcome])


def test_a_direct_call_may_not_have_an_unknown_field(warm: Handle) -> None:
    with pytest.raises(InvalidRequest, match=r"^requestPayload: got "):
        warm({"requestPayload": {"range": "1"}})
