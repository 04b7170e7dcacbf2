"""Direct calls: the event is the request, and a bad one raises."""

from typing import Any

import pytest

from pokemon_names.model import InvalidRequest
from tests.conftest import Handle, LoadApp
from tests.tools.invoke import Context


@pytest.mark.parametrize(
    ("event", "shown"),
    [(None, "null"), ([], "[]"), ("1-150", "1-150"), (151, "151"), (True, "true")],
)
def test_an_event_that_is_no_object_is_invalid(warm: Handle, event: Any, shown: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        warm(event)
    assert str(caught.value) == f"event: got '{shown}', allowed: a JSON object"


@pytest.mark.parametrize("strategy", ["sequential", "sync"])
def test_the_slow_strategies_take_any_range(load_app: LoadApp, strategy: str) -> None:
    app = load_app(MAX_SEQUENTIAL_NUMBERS="1")
    assert app.handler({"range": "1-3", "strategy": strategy}, Context())["count"] == 3


def test_a_direct_call_may_not_have_an_unknown_field(warm: Handle) -> None:
    with pytest.raises(InvalidRequest, match=r"^requestPayload: got "):
        warm({"requestPayload": {"range": "1"}})
