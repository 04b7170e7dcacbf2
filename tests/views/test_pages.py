"""The page of a race."""

import base64
import hashlib
import re
from html.parser import HTMLParser

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


def test_the_page_shows_totals_speed_ups_and_names() -> None:
    found = [Found(1, "bulbasaur"), Found(2, "ivysaur"), Found(3, "venusaur")]
    reports = [report("gather", *found), report("sync", *found, total_ms=2500)]
    tags = Tags(pages.race({}, "", reports))
    assert [item["value"] for item in tags.all("li")] == ["1", "2", "3"]
    assert "3 names" in tags.text
    assert "gatherall at once0.10 s25x3" in tags.text
    assert "syncone by one, blocking2.5 s1.0x3" in tags.text


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
    assert names.index("h1") < names.index("figure") < names.index("form")


def test_a_strategy_that_is_cut_off_says_so_and_speed_ups_over_it_are_lower_bounds() -> None:
    found = [Found(1, "bulbasaur"), Found(2, "ivysaur"), Found(3, "venusaur")]
    late = [Failure(number, "deadline", None, 0, "ran out of time") for number in (2, 3)]
    reports = [report("gather", *found), report("sync", found[0], *late, total_ms=2500)]
    tags = Tags(pages.race({}, "", reports))
    assert "gatherall at once0.10 s75xat least3" in tags.text
    assert "syncone by one, blocking2.5 s1.0x1 of 3out of time" in tags.text
    assert "2-3 with sync: deadlineran out of time" in tags.text


def test_a_strategy_without_names_has_no_speed_up() -> None:
    found = [Found(1, "bulbasaur"), Found(2, "ivysaur"), Found(3, "venusaur")]
    failures = [Failure(number, "timeout", None, 1, "no answer") for number in (1, 2, 3)]
    tags = Tags(pages.race({}, "", [report("gather", *failures), report("sync", *found)]))
    assert "gatherall at once100 msnone0 of 3" in tags.text


def test_without_sync_there_is_no_speed_up_column() -> None:
    tags = Tags(pages.race({}, "", [report("gather", Found(1, "mew"))]))
    assert "StrategyTimeNames" in tags.text
    assert "gatherall at once100 ms1" in tags.text


def test_numbers_that_failed_for_the_same_reason_are_grouped_up_to_a_limit() -> None:
    alike = [Failure(number, "bad_status", 500, 1, HOSTILE) for number in range(1, 31)]
    others = [Failure(number, "bad_body", 200, 1, f"byte {number}") for number in range(31, 61)]
    reports = [report("gather", *alike, *others)]
    tags = Tags(pages.race({}, "PokeAPI returned none of the names", reports))
    assert f"1-30 with gather: bad status{HOSTILE}" in tags.text
    assert "31 with gather: bad bodybyte 31" in tags.text
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
    assert "1026 with gather: not foundNot Found" in tags.text
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
    for message in ("", HOSTILE):
        tags = Tags(pages.race(query, message, [report("gather", *results)]))
        assert not tags.all("script")
        assert tags.text.count(HOSTILE) == 2


def test_a_message_is_announced_and_linked_to_the_field() -> None:
    tags = Tags(pages.race({"range": "x"}, "range: got 'x'", []))
    assert "range: got 'x'" in tags.text
    (alert,) = [attributes for _, attributes in tags.tags if attributes.get("role") == "alert"]
    text, *_ = tags.all("input")
    assert text["aria-describedby"] == alert["id"]


def test_the_policy_allows_only_the_pages_own_style() -> None:
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
    assert pages.HEADERS["Referrer-Policy"] == "no-referrer"
    for tag, attributes in Tags(html).tags:
        assert not attributes.keys() & {"style", "src", "onclick", "onload"}
        assert tag == "a" or "href" not in attributes


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
