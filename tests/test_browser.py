"""The pages in a real Chromium: `make test-browser`.

A small server hands its requests to the handler as API Gateway does. With SCREENSHOTS=folder, the
pictures are stored there.
"""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from tests.chromium import chromium
from tests.conftest import Handle, sample
from tests.tools.pokeapi import PokeAPI

pytestmark = pytest.mark.browser

PHONE = ViewportSize(width=390, height=844)
DESKTOP = ViewportSize(width=1280, height=900)
SCRIPT = "<script>alert(1)</script>"


def event_of(request: BaseHTTPRequestHandler) -> dict[str, Any]:
    url = urlsplit(request.path)
    query = parse_qs(url.query)
    return sample("http-api") | {
        "rawPath": url.path,
        "rawQueryString": url.query,
        "queryStringParameters": {name: ",".join(values) for name, values in query.items()},
        "headers": dict(request.headers.items()),
    }


@pytest.fixture
def site(handle: Handle) -> Iterator[str]:
    """Serve the handler by HTTP, and yield its URL."""

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = handle(event_of(self))
            body = reply["body"].encode()
            headers = {**reply["headers"], "Content-Length": str(len(body))}
            self.send_response(reply["statusCode"])
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    poll_seconds = 0.01  # between looks for the end
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, args=[poll_seconds]).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def console() -> list[str]:
    """Return the messages in the console; a test takes out those that it expects."""
    return []


@pytest.fixture
def page(browser: Browser, console: list[str]) -> Iterator[Page]:
    """Open a window, yield it, and check that nothing is left in its console."""
    page = browser.new_page(viewport=DESKTOP)
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
    """Return whether nothing sticks out of the page to the right."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def max_width_of_main(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth"))


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
    store_screenshot(page, f"race-{size['width']}-{scheme}")
    assert page.inner_text("h1") == "All at once, or one after another?"
    assert page.inner_text("ol li:nth-child(25)") == "pikachu"
    strategies = page.evaluate(
        "[...document.querySelectorAll('tbody th')].map(th => th.firstChild.data)"
    )
    assert strategies == ["gather", "sequential", "sync", "index"]
    assert page.locator("svg .lane").count() == 4
    assert page.locator("svg g").count() > 30
    assert fits(page)


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
    assert len(others) == page.locator("section").count() + 1  # the button's
    assert {httpx.get(f"{site}/{link}").status_code for link in others} == {200}
    assert all(page.locator(link).count() == 1 for link in within)


def test_the_documentation_begins_with_the_way_to_the_race(page: Page, site: str) -> None:
    page.goto(f"{site}/")
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url == f"{site}/race"


def test_the_page_has_its_own_style_and_takes_no_other(
    page: Page, site: str, console: list[str]
) -> None:
    page.goto(f"{site}/race?range=1")
    assert max_width_of_main(page) == "960px"
    bars = "getComputedStyle(document.querySelector('svg .body')).fill"
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
    assert page.locator("tbody tr").count() == 3
    assert page.input_value("#range") == "151,25"
    assert not page.is_checked("input[value=sequential]")


@sizes
def test_a_bad_range_shows_its_message_beside_the_form(
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


def test_a_race_for_a_number_of_no_pokemon_shows_why_it_failed(
    page: Page, site: str, console: list[str]
) -> None:
    page.goto(f"{site}/race?range=1026")
    store_screenshot(page, "not-found")
    assert page.inner_text("[role=alert]") == "no Pokémon has any of these numbers"
    assert page.inner_text("ul").startswith("1026 by gather: not found\nNot Found")
    assert "404 (Not Found)" in console.pop()
