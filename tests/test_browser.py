"""The pages in a real Chromium: `make test-browser`.

SCREENSHOTS=folder stores screenshots in that folder.
"""

import os
import re
import signal
from base64 import b64encode
from collections.abc import Iterator
from itertools import combinations, compress
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from pokemon_names.model import STRATEGIES, Found
from pokemon_names.views import pages
from tests.chromium import chromium, launch
from tests.tools.pokeapi import PokeAPI
from tests.tools.test_serve import end, race_of, started
from tests.views.test_pages import report as report_of
from tests.views.test_words import report

pytestmark = pytest.mark.browser

PHONE = ViewportSize(width=390, height=844)
DESKTOP = ViewportSize(width=1280, height=900)
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def site(url: str) -> Iterator[str]:
    """Serve the function as `make serve` does, and yield its URL."""
    with started("--live", POKEAPI_URL=url) as process:
        yield race_of(process).removesuffix("/race")
        end(process, signal.SIGTERM)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def console() -> list[str]:
    """Return the console messages; a test removes those that it expects."""
    return []


@pytest.fixture
def page(browser: Browser, console: list[str]) -> Iterator[Page]:
    """Yield a new page, and check that no unexpected message is left in its console."""
    page = browser.new_page(viewport=DESKTOP)
    page.add_init_script(NOTE_BEGIN)
    page.on("console", lambda message: console.append(message.text))
    yield page
    page.close()
    assert console == []


def show(page: Page, size: ViewportSize, scheme: Literal["light", "dark"]) -> None:
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)


def store_screenshot(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def fits(page: Page) -> bool:
    """Return whether the page needs no horizontal scrolling."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def max_width_of_main(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth"))


CUT_OFF = [
    report("gather", 1250, 1351, 1351),
    report("sequential", 9010, 903, 1351),
    report("sync", 9000, 886, 1351),
    report("index", 40, 1351, 1351),
]
# Store when the animation starts, in seconds of the picture's own clock.
NOTE_BEGIN = """
addEventListener('animationstart', event => { window.begun = event.target.getCurrentTime() });
"""
CURTAIN = "document.querySelector('#curtain rect').width.animVal.value"

VISIBILITIES = "elements => elements.map(element => getComputedStyle(element).visibility)"
TITLES = "svg text:not(.result) > .strategy"

# The boxes of all visible texts, in the picture and outside it.
BOXES = """
[...document.querySelectorAll('svg text, h1, figcaption p, label, button, #hint, li')]
  .filter(element => getComputedStyle(element).visibility == 'visible')
  .map(element => [element.textContent, element.getBoundingClientRect()])
  .map(([text, {left, right, top, bottom}]) => ({text, left, right, top, bottom}))
"""


def show_document(page: Page, html: str) -> None:
    data = b64encode(html.encode()).decode()
    page.goto(f"data:text/html;charset=utf-8;base64,{data}")


def settle(page: Page, seconds: float = 1000) -> None:
    """Stop the animation that many seconds after its start."""
    page.wait_for_function("() => window.begun !== undefined")
    page.evaluate(
        """seconds => {
          const svg = document.querySelector('svg');
          svg.pauseAnimations();
          svg.setCurrentTime(window.begun + seconds + 0.001);
        }""",
        seconds,
    )


def visible_results(page: Page) -> list[str]:
    """Return the strategies whose results are visible."""
    shown = page.evaluate("""
      [...document.querySelectorAll('.result')]
        .map(result => getComputedStyle(result).visibility == 'visible')
    """)
    return list(compress(page.locator(TITLES).all_text_contents(), shown))


def visible_counts(page: Page) -> list[str]:
    """Return the numbers of names that are visible while their lanes run."""
    return list(
        page.evaluate("""
          [...document.querySelectorAll('.count')]
            .filter(count => getComputedStyle(count).visibility == 'visible')
            .map(count => count.textContent)
        """)
    )


def seconds_of_gather(page: Page) -> float:
    """Return for how many seconds the first result is hidden."""
    duration = page.get_attribute(".result set", "dur") or ""
    return int(duration.removesuffix("ms")) / 1000


def check_words(page: Page, width: int) -> None:
    """Check that no text sticks out of the page or overlaps another."""
    assert fits(page)
    boxes = page.evaluate(BOXES)
    assert len(boxes) > 15
    for box in boxes:
        assert box["left"] >= 0, box
        assert box["right"] <= width, box
    for box, other in combinations(boxes, 2):
        assert not overlap(box, other), (box, other)


def overlap(box: dict[str, float], other: dict[str, float]) -> bool:
    """Return whether two boxes overlap by more than a pixel."""
    beside = box["right"] <= other["left"] + 1 or other["right"] <= box["left"] + 1
    above = box["bottom"] <= other["top"] + 1 or other["bottom"] <= box["top"] + 1
    return not beside and not above


schemes = pytest.mark.parametrize("scheme", ["light", "dark"])
sizes = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])


@schemes
@sizes
def test_the_page_shows_a_race(
    page: Page, site: str, pokeapi: PokeAPI, size: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    pokeapi.delay = 0.02
    show(page, size, scheme)
    page.goto(f"{site}/race?range=1-30")
    settle(page)
    store_screenshot(page, f"race-{size['width']}-{scheme}")
    result = r"[0-9.]+ times faster: 30 names in .* at once, .* one after another"
    assert re.fullmatch(result, page.title())
    assert re.match(r"[0-9.]+ times faster", page.inner_text("h1 strong"))
    assert page.inner_text("ol li:nth-child(25)") == "pikachu"
    titles = page.locator(TITLES).all_text_contents()
    assert titles == ["gather", "sequential", "sync", "index"]
    assert page.locator("svg .code").first.text_content() == "await gather(*map(get, numbers))"
    assert page.locator("svg g").count() > 30
    assert fits(page)


@pytest.mark.parametrize("width", [320, 360, 390])
@pytest.mark.parametrize(
    "query",
    ["range=1-150&strategies=gather,sync", "range=1-1025,10001-10326&strategies=gather,index"],
)
def test_on_a_phone_no_text_sticks_out_or_overlaps_another(
    page: Page, site: str, pokeapi: PokeAPI, width: int, query: str
) -> None:
    pokeapi.delay = 0.01
    show(page, ViewportSize(width=width, height=800), "light")
    page.goto(f"{site}/race?{query}")
    settle(page)
    store_screenshot(page, f"phone-{width}-{query}")
    check_words(page, width)


@pytest.mark.parametrize("width", [320, 360, 390])
def test_a_race_that_was_cut_off_fits_a_phone(page: Page, width: int) -> None:
    show(page, ViewportSize(width=width, height=800), "light")
    show_document(page, pages.race({}, "", CUT_OFF))
    settle(page)
    store_screenshot(page, f"cut-off-{width}")
    check_words(page, width)


@pytest.mark.parametrize(
    "size", [ViewportSize(width=360, height=780), DESKTOP], ids=["phone", "desktop"]
)
def test_the_names_begin_before_the_third_screen(page: Page, size: ViewportSize) -> None:
    show(page, size, "light")
    hint = "Up to 75 numbers with sequential and sync, 150 with one of them, 1,500 with neither."
    found = [Found(number, "bulbasaur") for number in range(1, 51)]
    fast, *others = STRATEGIES
    reports = [
        report_of(fast, *found),
        *(report_of(strategy, *found, total_ms=5000) for strategy in others),
    ]
    show_document(page, pages.race({}, "", reports, "", hint))
    top = page.evaluate("document.querySelector('ol').getBoundingClientRect().top")
    assert top < 2 * size["height"]


def test_the_texts_of_a_document_fit_into_it(page: Page) -> None:
    show_document(page, pages.race_picture(CUT_OFF))
    settle(page)
    store_screenshot(page, "cut-off")
    check_words(page, 840)


def test_the_animation_replays_the_race(page: Page, site: str, pokeapi: PokeAPI) -> None:
    pokeapi.delay = 0.05
    page.goto(f"{site}/race?range=1-40&strategies=gather,sync")
    settle(page, seconds=0)
    store_screenshot(page, "start")
    assert visible_results(page) == []
    assert visible_counts(page) == ["0 names", "0 names"]
    assert page.evaluate(CURTAIN) == pytest.approx(0, abs=1)
    settle(page, seconds=seconds_of_gather(page) + 0.5)
    store_screenshot(page, "middle")
    assert visible_results(page) == ["gather"]
    (count,) = visible_counts(page)
    assert 0 < int(count.removesuffix(" names")) < 40
    half = page.evaluate(CURTAIN)
    settle(page)
    assert visible_results(page) == ["gather", "sync"]
    assert visible_counts(page) == []
    assert 0 < half < page.evaluate(CURTAIN)
    lines = page.locator(".now")
    assert set(lines.evaluate_all(VISIBILITIES)) == {"hidden"}


def test_the_animation_starts_when_the_picture_is_visible_however_long_the_race_took(
    page: Page, site: str, pokeapi: PokeAPI
) -> None:
    pokeapi.delay = 0.1
    page.goto(f"{site}/race?range=1-20&strategies=gather,sync")
    whole = page.evaluate("document.querySelector('#curtain rect').width.baseVal.value")
    page.wait_for_function(f"() => {CURTAIN} < {whole / 2}")
    page.wait_for_function(f"() => {CURTAIN} > {whole / 2}")


@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_a_link_plays_it_again(page: Page, site: str, way: str) -> None:
    page.goto(f"{site}/race?range=1-3")
    settle(page)
    whole = page.evaluate(CURTAIN)
    if way == "mouse":
        page.click("#again")
    else:
        page.focus("button")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "again"
        page.keyboard.press("Enter")
    page.wait_for_function(f"() => {CURTAIN} < {whole}")
    settle(page, seconds=2000)
    assert page.evaluate(CURTAIN) == whole
    top = page.evaluate("document.querySelector('svg').getBoundingClientRect().top")
    assert 0 <= top < DESKTOP["height"] / 2  # in view, although the link is at its end


def test_with_reduced_motion_the_picture_is_still(page: Page, site: str) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{site}/race?range=1-3")
    assert visible_results(page) == ["gather", "sequential", "sync", "index"]
    curtains = page.evaluate(
        "[...document.querySelectorAll('[clip-path]')].map(g => getComputedStyle(g).clipPath)"
    )
    assert set(curtains) == {"none"}
    assert not page.is_visible("#again")
    assert visible_counts(page) == []
    assert not any(line.is_visible() for line in page.locator(".now").all())


@pytest.mark.parametrize("arguments", [[], ["--force-prefers-reduced-motion"]])
def test_as_an_image_the_picture_moves_unless_motion_is_reduced(
    browser: Browser, site: str, arguments: list[str]
) -> None:
    """Scripts cannot inspect the content of an image, so screenshots are compared."""
    picture = httpx.get(f"{site}/race.svg?range=1-3&strategies=gather,sync").text
    picture = picture.replace("opacity: .8", "opacity: 1")  # it does not fade in
    moving = re.sub('dur="[0-9]+ms"', 'dur="1000000ms"', picture)
    still = re.sub("<(animate|set) [^>]*>", "", picture)
    with launch(browser.browser_type, *arguments) as other:
        page = other.new_page(viewport=DESKTOP)
        show_image(page, still)
        look = page.screenshot()
        show_image(page, moving)
        looks = [page.screenshot() for _ in range(10)]
    if arguments:
        assert set(looks) == {look}
    else:
        assert looks[-1] != look


def show_image(page: Page, picture: str) -> None:
    data = b64encode(picture.encode()).decode()
    page.set_content(f'<img src="data:image/svg+xml;base64,{data}" width="900">')
    page.wait_for_function("() => document.images[0].complete")


@schemes
@pytest.mark.parametrize("width", [320, 360, 390, 1280])
def test_every_link_of_the_documentation_is_served(
    page: Page, site: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    show(page, ViewportSize(width=width, height=844), scheme)
    page.goto(f"{site}/")
    store_screenshot(page, f"documentation-{width}-{scheme}")
    assert fits(page)
    links = page.evaluate("[...document.links].map(a => a.getAttribute('href'))")
    within = {link for link in links if link.startswith("#")}
    others = set(links) - within
    assert len(others) == page.locator("section").count() + 1  # for the button
    assert {httpx.get(f"{site}/{link}").status_code for link in others} == {200}
    assert all(page.locator(link).count() == 1 for link in within)


def test_the_documentation_starts_with_a_picture_and_the_link_to_the_race(
    page: Page, site: str
) -> None:
    page.goto(f"{site}/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "again"
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url == f"{site}/race"


def test_the_page_uses_its_own_style_and_no_other(
    page: Page, site: str, console: list[str]
) -> None:
    page.goto(f"{site}/race?range=1")
    assert max_width_of_main(page) == "960px"
    bars = "getComputedStyle(document.querySelector('svg .downloading')).fill"
    light = page.evaluate(bars)
    show(page, DESKTOP, "dark")
    assert page.evaluate(bars) != light
    page.evaluate("document.querySelector('main').setAttribute('style', 'max-width: 1px')")
    assert max_width_of_main(page) == "960px"
    assert "Content Security Policy" in console.pop()


def test_the_form_starts_a_race_with_its_fields(page: Page, site: str) -> None:
    page.goto(f"{site}/race?range=1")
    page.fill("#range", "151,25")
    page.click("input[value=sequential]")
    with page.expect_navigation():
        page.click("button")
    assert page.inner_text("ol") == "mew\npikachu"
    assert page.locator(TITLES).count() == 3
    assert page.input_value("#range") == "151,25"
    assert not page.is_checked("input[value=sequential]")


@sizes
def test_a_bad_range_shows_a_message_next_to_the_form(
    page: Page, site: str, console: list[str], size: ViewportSize
) -> None:
    show(page, size, "light")
    page.goto(f"{site}/race?range=1")
    page.fill("#range", SCRIPT)
    with page.expect_navigation():
        page.click("button")
    store_screenshot(page, f"bad-{size['width']}")
    message = page.inner_text("[role=alert]")
    assert message.startswith(f"range: got '{SCRIPT}', allowed: up to 1,500 numbers")
    assert page.input_value("#range") == SCRIPT
    assert fits(page)
    assert "400 (Bad Request)" in console.pop()


@sizes
def test_a_bad_range_of_names_is_a_page_with_a_form_to_correct_it(
    page: Page, site: str, console: list[str], size: ViewportSize
) -> None:
    show(page, size, "light")
    page.goto(f"{site}/pokemon?range=abc")
    store_screenshot(page, f"bad-names-{size['width']}")
    assert "range: got 'abc', allowed: up to 1,500 numbers" in page.inner_text("[role=alert]")
    assert fits(page)
    assert "400 (Bad Request)" in console.pop()
    page.fill("#range", "25")
    assert page.evaluate("document.forms[0].action") == f"{site}/pokemon"
    assert page.evaluate("`${new URLSearchParams(new FormData(document.forms[0]))}`") == "range=25"


def test_a_race_for_an_unknown_number_shows_why_it_failed(
    page: Page, site: str, console: list[str]
) -> None:
    page.goto(f"{site}/race?range=1026")
    store_screenshot(page, "not-found")
    assert page.inner_text("[role=alert]") == "no Pokémon has any of these numbers"
    assert page.inner_text("ul").startswith("1026: not found\nnot in the list of all Pokémon")
    assert "404 (Not Found)" in console.pop()
