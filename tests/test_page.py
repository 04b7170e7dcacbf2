import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from pokemon_names import page
from pokemon_names.outcome import Exchange, Failed, Fetched, Found
from pokemon_names.report import Report
from pokemon_names.request import Request

WICKED = "\"'><script>alert(1)</script>&amp;"


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


def report(strategy: str, *outcomes: Found | Failed, total_ms: float = 100.0) -> Report:
    exchanges = [Exchange(o.number, 1, isinstance(o, Found), 0.0, 1.0, 50.0, 90.0, 1000) for o in outcomes]
    return Report(Request(range="1-3", strategy=strategy, fresh=True), Fetched(outcomes, exchanges, total_ms))


def test_totals_speed_ups_and_names() -> None:
    named = [Found(1, "bulbasaur"), Found(2, "ivysaur"), Found(3, "venusaur")]
    tags = Tags(page.write({}, "", [report("gather", *named), report("sync", named[0], total_ms=2500)]))
    assert [item["value"] for item in tags.all("li")] == ["1", "2", "3"]
    assert "3 names" in tags.text
    assert "gatherall at once100.0 ms25.00x3 of 3" in tags.text
    assert "syncthe same, with a blocking client2.50 s1.00x1 of 3" in tags.text
    assert len(tags.all("g")) == 4


def test_without_sync_there_are_no_speed_ups() -> None:
    assert "gatherall at once100.0 ms1 of 3" in Tags(page.write({}, "", [report("gather", Found(1, "mew"))])).text


def test_failures_are_told_as_far_as_there_is_room() -> None:
    failures = [Failed(n, "bad_status", 500, 1, WICKED) for n in range(1, 31)]
    tags = Tags(page.write({}, "PokeAPI gave none of the names", [report("gather", *failures)]))
    assert f"1 by gather: bad status{WICKED}" in tags.text
    assert "and 10 more" in tags.text
    assert not any(item.get("aria-invalid") for item in tags.all("input"))


@pytest.mark.parametrize("asked", [{}, {"range": "1-3", "strategies": "gather, index"}, {"range": WICKED}])
def test_the_form_shows_what_was_asked(asked: dict[str, str]) -> None:
    tags = Tags(page.write(asked, "", []))
    text, *boxes = tags.all("input")
    assert (text["name"], text["value"]) == ("range", asked.get("range", "1-150"))
    chosen = [box["value"] for box in boxes if "checked" in box]
    assert chosen == (["gather", "index"] if "strategies" in asked else ["gather", "sequential", "sync", "index"])
    assert tags.all("form") == [{}]


def test_every_value_is_escaped() -> None:
    asked = {"range": WICKED, "strategies": WICKED, WICKED: WICKED}
    tags = Tags(page.write(asked, WICKED, [report("gather", Found(1, WICKED), Failed(2, "timeout", None, 1, WICKED))]))
    assert not tags.all("script")
    assert tags.text.count(WICKED) == 3


def test_a_message_is_announced_and_tied_to_the_field() -> None:
    tags = Tags(page.write({"range": "x"}, "range: got 'x'", []))
    assert "range: got 'x'" in tags.text
    (alert,) = [attributes for _, attributes in tags.tags if attributes.get("role") == "alert"]
    assert tags.all("input")[0]["aria-describedby"] == alert["id"]


def test_the_policy_allows_its_own_style_and_nothing_else() -> None:
    html = page.write({}, "", [report("gather", Found(1, "mew")), report("index")])
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert page.HEADERS["Content-Security-Policy"].split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    assert page.HEADERS["X-Content-Type-Options"] == "nosniff"
    for _, attributes in Tags(html).tags:
        assert not attributes.keys() & {"style", "src", "href", "onclick", "onload"}
