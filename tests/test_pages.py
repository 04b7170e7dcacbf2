import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from pokemon_names.model import STRATEGIES, Attempt, Failure, Fetched, Found
from pokemon_names.report import Report
from pokemon_names.views import pages
from tests.conftest import make_request

HOSTILE = "\"'><script>alert(1)</script>&amp;"


class Tags(HTMLParser):
    """Every tag with its attributes, and all text outside of the style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.lasttag != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(strategy: str, *results: Found | Failure, total_ms: float = 100.0) -> Report:
    attempts = []
    for result in results:
        ok = isinstance(result, Found)
        attempts.append(Attempt(result.number, 1, ok, 0.0, 1.0, 50.0, 90.0, 1000))
    request = make_request(range="1-3", strategy=strategy, fresh=True)
    return Report(request, Fetched(results, attempts, total_ms))


def test_the_page_shows_totals_speed_ups_and_names() -> None:
    found = [Found(1, "bulbasaur"), Found(2, "ivysaur"), Found(3, "venusaur")]
    reports = [report("gather", *found), report("sync", found[0], total_ms=2500)]
    tags = Tags(pages.race({}, "", reports))
    assert [item["value"] for item in tags.all("li")] == ["1", "2", "3"]
    assert "3 names" in tags.text
    assert "gatherall at once100.0 ms25.00x3 of 3" in tags.text
    assert "syncthe same, with a blocking client2.50 s1.00x1 of 3" in tags.text
    assert len(tags.all("g")) == 4


def test_without_sync_there_are_no_speed_ups() -> None:
    tags = Tags(pages.race({}, "", [report("gather", Found(1, "mew"))]))
    assert "gatherall at once100.0 ms1 of 3" in tags.text


def test_the_page_lists_failures_until_there_are_too_many() -> None:
    failures = [Failure(number, "bad_status", 500, 1, HOSTILE) for number in range(1, 31)]
    tags = Tags(pages.race({}, "PokeAPI gave none of the names", [report("gather", *failures)]))
    assert f"1 by gather: bad status{HOSTILE}" in tags.text
    assert "and 10 more" in tags.text
    assert not any(item.get("aria-invalid") for item in tags.all("input"))


@pytest.mark.parametrize(
    ("query", "expression", "strategies"),
    [
        ({}, "1-50", list(STRATEGIES)),
        ({"range": "1-3", "strategies": "gather, index"}, "1-3", ["gather", "index"]),
        ({"range": HOSTILE}, HOSTILE, list(STRATEGIES)),
    ],
)
def test_the_form_shows_the_query(
    query: dict[str, str], expression: str, strategies: list[str]
) -> None:
    tags = Tags(pages.race(query, "", []))
    text, *boxes = tags.all("input")
    assert text["name"] == "range"
    assert text["value"] == expression
    assert [box["value"] for box in boxes if "checked" in box] == strategies
    assert tags.all("form") == [{}]


def test_every_value_is_escaped() -> None:
    query = {"range": HOSTILE, "strategies": HOSTILE, HOSTILE: HOSTILE}
    results: list[Found | Failure] = [Found(1, HOSTILE), Failure(2, "timeout", None, 1, HOSTILE)]
    tags = Tags(pages.race(query, HOSTILE, [report("gather", *results)]))
    assert not tags.all("script")
    assert tags.text.count(HOSTILE) == 3


def test_a_message_is_announced_and_tied_to_the_field() -> None:
    tags = Tags(pages.race({"range": "x"}, "range: got 'x'", []))
    assert "range: got 'x'" in tags.text
    (alert,) = [attributes for _, attributes in tags.tags if attributes.get("role") == "alert"]
    text, *_ = tags.all("input")
    assert text["aria-describedby"] == alert["id"]


def test_the_policy_allows_its_own_style_and_nothing_else() -> None:
    html = pages.race({}, "", [report("gather", Found(1, "mew")), report("index")])
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert pages.HEADERS["Content-Security-Policy"].split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    assert pages.HEADERS["X-Content-Type-Options"] == "nosniff"
    for _, attributes in Tags(html).tags:
        assert not attributes.keys() & {"style", "src", "href", "onclick", "onload"}
