"""The page of a race."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from syrupy.assertion import SnapshotAssertion

from pokemon_names.model import STRATEGIES, Attempt, Failure, Fetched, Found
from pokemon_names.report import Report
from pokemon_names.views import pages
from tests.conftest import make_request
from tests.views.test_svg import Picture

HOSTILE = "\"'><script>alert(1)</script>&amp;"


class Page(Picture):
    """A page in __snapshots__."""

    file_extension = "html"


class Tags(HTMLParser):
    """The tags of a page with their attributes, and all text outside the style."""

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


def report(
    strategy: str, *results: Found | Failure, total_ms: float = 100.0, expression: str = "1-3"
) -> Report:
    attempts = []
    for result in results:
        ok = isinstance(result, Found)
        attempts.append(Attempt(result.number, 1, ok, 0.0, 1.0, 50.0, 90.0, 1000))
    request = make_request(range=expression, strategy=strategy, fresh=True)
    return Report(request, Fetched(results, attempts, total_ms))


def without_style(page: str) -> str:
    """Return a page without its style, which is in separate files."""
    return re.sub("<style>.*?</style>", "", page, flags=re.DOTALL)


def test_the_page_shows_times_speed_ups_and_names() -> None:
    found = [Found(1, "bulbasaur"), Found(2, "ivysaur"), Found(3, "venusaur")]
    reports = [report("gather", *found), report("sync", *found, total_ms=2500)]
    tags = Tags(pages.race({}, "", reports))
    assert [item["value"] for item in tags.all("li")] == ["1", "2", "3"]
    assert "gather: all at onceawait gather(*map(get, numbers))" in tags.text
    assert "0.10 s3 names, 25 times as fast as sync" in tags.text
    assert "sync: one by one, blockingfor n in numbers: get(n)" in tags.text
    assert "2.5 s3 names" in tags.text


def test_the_moral_is_the_caption_of_the_picture() -> None:
    html = pages.race({}, "", [report("gather", Found(1, "mew"))])
    moral = (
        '<figcaption>\n<p class="moral">Only requests that are in flight together share the wait.'
    )
    assert moral in html


def test_the_result_comes_first_and_in_previews_of_the_page() -> None:
    found = [Found(1, "bulbasaur"), Found(2, "ivysaur"), Found(3, "venusaur")]
    html = pages.race({}, "", [report("gather", *found), report("sync", *found, total_ms=2500)])
    tags = Tags(html)
    result = "25 times faster: 3 names in 0.10 s at once, 2.5 s one after another"
    metas = {meta.get("name") or meta.get("property"): meta for meta in tags.all("meta")}
    assert f"<title>{result}</title>" in html
    assert metas["og:title"]["content"] == result
    times = "3 names in 0.10 s with gather, 3 names in 2.5 s with sync"
    description = f"Names of Pokémon from PokeAPI: {times}."
    assert metas["description"]["content"] == description
    assert metas["og:description"]["content"] == description
    names = [name for name, _ in tags.tags]
    assert names.index("h1") < names.index("form") < names.index("figure") < names.index("ol")


def test_a_strategy_that_is_cut_off_says_so_and_speed_ups_over_it_are_lower_bounds() -> None:
    found = [Found(1, "bulbasaur"), Found(2, "ivysaur"), Found(3, "venusaur")]
    late = [Failure(number, "deadline", None, 0, "ran out of time") for number in (2, 3)]
    reports = [report("gather", *found), report("sync", found[0], *late, total_ms=2500)]
    tags = Tags(pages.race({}, "", reports))
    assert "0.10 s3 names, at least 75 times as fast as sync" in tags.text
    assert "2.5 scut off after 1 of 3 names" in tags.text
    assert "2-3: deadline with syncran out of time" in tags.text


def test_a_number_that_fails_alike_with_several_strategies_is_told_once() -> None:
    found = [Found(1, "bulbasaur"), Found(2, "ivysaur")]
    missing = Failure(1026, "not_found", 404, 1, "not in the list")
    late = Failure(1027, "timeout", None, 1, "no answer")
    reports = [
        report("gather", *found, missing, late),
        report("sequential", *found, missing, late),
        report("sync", *found, missing, Found(1027, "mew")),
    ]
    tags = Tags(pages.race({}, "", reports))
    assert tags.text.count("not in the list") == 1
    assert "1026: not foundnot in the list" in tags.text
    assert "1027: timeout with gather, sequentialno answer" in tags.text


def test_numbers_that_failed_for_the_same_reason_are_grouped_up_to_a_limit() -> None:
    alike = [Failure(number, "bad_status", 500, 1, HOSTILE) for number in range(1, 31)]
    others = [Failure(number, "bad_body", 200, 1, f"byte {number}") for number in range(31, 61)]
    reports = [report("gather", *alike, *others)]
    tags = Tags(pages.race({}, "PokeAPI returned none of the names", reports))
    assert f"1-30: bad status{HOSTILE}" in tags.text
    assert "31: bad bodybyte 31" in tags.text
    assert "and 11 more" in tags.text


@pytest.mark.parametrize(("count", "last"), [(20, "byte 20"), (21, "and 1 more")])
def test_at_most_20_groups_of_failures_are_listed(count: int, last: str) -> None:
    failures = [
        Failure(number, "bad_body", 200, 1, f"byte {number}") for number in range(1, count + 1)
    ]
    tags = Tags(pages.race({}, "PokeAPI returned none of the names", [report("gather", *failures)]))
    assert last in tags.text
    assert "and 0 more" not in tags.text


@pytest.mark.parametrize("strategies", [["sequential", "sync"], list(STRATEGIES)])
def test_if_both_sequential_strategies_race_the_page_explains_their_likeness(
    strategies: list[str],
) -> None:
    reports = [report(strategy, Found(1, "mew")) for strategy in strategies]
    assert "look alike, and that is the point" in pages.race({}, "", reports)
    assert "look alike, and that is the point" not in pages.race({}, "", reports[:1])


def test_a_race_without_names_has_no_picture() -> None:
    failure = Failure(1026, "not_found", 404, 1, "Not Found")
    tags = Tags(pages.race({}, "no Pokémon has any of these numbers", [report("gather", failure)]))
    assert not tags.all("svg")
    assert "No names" in tags.text
    assert "1026: not foundNot Found" in tags.text
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
    reports = [report("gather", *results)]
    for html in (
        pages.race(query, "", reports, HOSTILE, HOSTILE),
        pages.race(query, HOSTILE, reports, HOSTILE),
        pages.bad_names_request(query, HOSTILE, HOSTILE, HOSTILE),
    ):
        tags = Tags(html)
        assert not tags.all("script")
        assert tags.text.count(HOSTILE) >= 2


def test_a_message_is_announced_and_linked_to_the_field() -> None:
    tags = Tags(pages.race({"range": "x"}, "range: got 'x'", []))
    assert "range: got 'x'" in tags.text
    (alert,) = [attributes for _, attributes in tags.tags if attributes.get("role") == "alert"]
    text, *_ = tags.all("input")
    assert text["aria-describedby"] == f"{alert['id']} hint"


def test_the_hint_is_linked_to_the_field() -> None:
    tags = Tags(pages.race({}, "", [], "", "Up to 75 numbers."))
    (hint,) = [attributes for _, attributes in tags.tags if attributes.get("id") == "hint"]
    text, *_ = tags.all("input")
    assert text["aria-describedby"] == hint["id"]
    assert "Up to 75 numbers." in tags.text


@pytest.mark.parametrize("root", ["", "../"])
def test_a_bad_request_for_names_can_be_corrected_in_a_form(root: str) -> None:
    tags = Tags(pages.bad_names_request({"range": "abc"}, "range: got 'abc'", root, "Up to 9."))
    assert "range: got 'abc'" in tags.text
    assert "Up to 9." in tags.text
    (text,) = tags.all("input")
    assert text["value"] == "abc"
    assert text["aria-invalid"] == "true"
    assert tags.all("form") == [{"action": f"{root}pokemon"}]
    assert tags.all("a") == [{"href": f"{root}./"}]


def test_the_policy_allows_only_the_pages_own_style() -> None:
    html = pages.race({}, "", [report("gather", Found(1, "mew")), report("index")])
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert pages.HEADERS["Content-Security-Policy"].split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    assert pages.HEADERS["Referrer-Policy"] == "no-referrer"
    for tag, attributes in Tags(html).tags:
        assert not attributes.keys() & {"style", "src", "onclick", "onload"}
        assert tag in {"a", "use", "link"} or "href" not in attributes


def test_the_icon_is_in_the_page_so_browsers_request_none() -> None:
    (icon,) = Tags(pages.documentation("/")).all("link")
    assert icon["rel"] == "icon"
    kind, _, picture = unquote(icon["href"] or "").partition(",")
    assert kind == "data:image/svg+xml"
    ET.fromstring(picture)  # noqa: S314  it is our own


def test_in_a_file_the_links_and_the_form_point_to_a_server() -> None:
    server = "http://127.0.0.1:3000/"
    query = {"range": "1-3", "strategies": "gather", "trace": "true"}
    tags = Tags(pages.race(query, "", [report("gather", Found(1, "mew"))], server))
    assert tags.all("form") == [{"action": f"{server}race"}]
    assert [link["href"] for link in tags.all("a")] == [
        "#race",
        f"{server}race.svg?range=1-3&strategies=gather",
        f"{server}pokemon?range=1-3",
        f"{server}./",
    ]


def test_the_whole_page_of_a_race(snapshot: SnapshotAssertion) -> None:
    """The page shows everything that a race can have. Look at the stored page when it changes."""
    expression = "1-50"
    numbers = range(1, 51)
    found = [Found(number, f"name-{number}") for number in numbers]
    unlike = [Failure(number, "bad_body", 200, 1, f"byte <{number}>") for number in numbers]
    late = [Failure(number, "deadline", None, 0, "ran out of time") for number in numbers]
    reports = [
        report("index", *unlike, expression=expression),
        report("sequential", *found[:40], *late[40:], total_ms=2400, expression=expression),
        report("sync", *found[:40], *late[40:], total_ms=2500, expression=expression),
        report("gather", *found[:49], unlike[49], expression=expression),
    ]
    query = {"range": expression, "strategies": "gather, sync"}
    page = pages.race(query, "", reports)
    assert without_style(page) == snapshot(extension_class=Page)


def test_the_whole_page_of_a_bad_request(snapshot: SnapshotAssertion) -> None:
    page = pages.race({"range": "<x>"}, "range: got '<x>'", [], "https://example.com/prod/")
    assert without_style(page) == snapshot(extension_class=Page)


def test_the_whole_page_of_a_failed_race(snapshot: SnapshotAssertion) -> None:
    failure = Failure(1026, "not_found", 404, 1, "Not Found")
    page = pages.race({}, "no Pokémon has any of these numbers", [report("gather", failure)])
    assert without_style(page) == snapshot(extension_class=Page)
