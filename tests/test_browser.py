"""The pages in a real Chromium: `make test-browser`, which needs Debian's chromium-driver.

A small server hands its requests to the handler as API Gateway does. With SCREENSHOTS=folder they are kept there.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.conftest import Handle, sample
from tests.tools.pokeapi import PokeAPI
from tests.webdriver import Browser, chromium

pytestmark = pytest.mark.browser

PHONE, DESKTOP = (390, 844), (1280, 900)


def event_of(request: BaseHTTPRequestHandler) -> dict[str, Any]:
    event, url = sample("http-api"), urlsplit(request.path)
    event |= {"rawPath": url.path, "rawQueryString": url.query, "headers": dict(request.headers.items())}
    event["queryStringParameters"] = {name: ",".join(values) for name, values in parse_qs(url.query).items()}
    return event


@pytest.fixture
def site(handle: Handle) -> Iterator[str]:
    """Serve the handler by HTTP; gives its URL."""

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = handle(event_of(self))
            body = reply["body"].encode()
            self.send_response(reply["statusCode"])
            for name, value in {**reply["headers"], "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not shutil.which("chromedriver"):
        pytest.exit("make test-browser needs Chromium: apt-get install chromium-driver", returncode=1)
    with chromium() as browser:
        yield browser


@pytest.fixture(autouse=True)
def quiet(browser: Browser) -> Iterator[None]:
    """Have nothing in the console, whatever a test does."""
    browser.resize(*DESKTOP, scheme="light")
    yield
    assert browser.console() == []


def keep(browser: Browser, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        browser.shoot(Path(folder) / f"{name}.png")


def fits(browser: Browser) -> bool:
    """Tell whether nothing sticks out of the page to the right."""
    return bool(browser.run("return document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_page_shows_a_race(
    browser: Browser, site: str, pokeapi: PokeAPI, size: tuple[int, int], scheme: str
) -> None:
    pokeapi.delay = 0.05
    browser.resize(*size, scheme=scheme)
    browser.open(f"{site}/race?range=1-30")
    keep(browser, f"race-{size[0]}-{scheme}")
    assert browser.text("h1") == "All at once, or one after another?"
    assert browser.text("ol li:nth-child(25)") == "pikachu"
    strategies = browser.run("return [...document.querySelectorAll('tbody th')].map(th => th.firstChild.data)")
    assert strategies == ["gather", "sequential", "sync", "index"]
    assert browser.run("return document.querySelectorAll('svg .lane').length") == 4
    assert browser.run("return document.querySelectorAll('svg g').length") > 30
    assert fits(browser)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_documentation_leads_to_all_it_describes(
    browser: Browser, site: str, size: tuple[int, int], scheme: str
) -> None:
    browser.resize(*size, scheme=scheme)
    browser.open(f"{site}/")
    keep(browser, f"documentation-{size[0]}-{scheme}")
    assert fits(browser)
    links = browser.run("return [...document.querySelectorAll('a')].map(a => a.href)")
    assert len(links) == 4
    assert {httpx.get(link).status_code for link in links} == {200}


def test_its_style_is_applied_and_no_other_would_be(browser: Browser, site: str) -> None:
    browser.open(f"{site}/race?range=1")
    assert browser.run("return getComputedStyle(document.querySelector('main')).maxWidth") == "960px"
    bars = "return getComputedStyle(document.querySelector('svg .body')).fill"
    light = browser.run(bars)
    browser.resize(*DESKTOP, scheme="dark")
    assert browser.run(bars) != light
    browser.run("document.querySelector('main').setAttribute('style', 'max-width: 1px')")
    assert browser.run("return getComputedStyle(document.querySelector('main')).maxWidth") == "960px"
    assert any("Content Security Policy" in message for message in browser.console())


def test_the_form_races_what_is_put_into_it(browser: Browser, site: str) -> None:
    browser.open(f"{site}/race?range=1")
    browser.fill("#range", "151,25")
    browser.click("input[value=sequential]")
    browser.follow("button")
    assert browser.text("ol") == "mew\npikachu"
    assert browser.run("return document.querySelectorAll('tbody tr').length") == 3
    assert browser.run("return document.querySelector('#range').value") == "151,25"
    assert browser.run("return document.querySelector('input[value=sequential]').checked") is False


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_bad_range_shows_its_message_beside_the_form(browser: Browser, site: str, size: tuple[int, int]) -> None:
    browser.resize(*size, scheme="light")
    browser.open(f"{site}/race?range=1")
    browser.fill("#range", "<script>alert(1)</script>")
    browser.follow("button")
    keep(browser, f"bad-{size[0]}")
    assert browser.text("[role=alert]").startswith("range: got '<script>alert(1)</script>', allowed: numbers from 1")
    assert browser.run("return document.querySelector('#range').value") == "<script>alert(1)</script>"
    assert fits(browser)
    (failed_to_load,) = browser.console()
    assert "400 (Bad Request)" in failed_to_load


def test_no_such_pokemon(browser: Browser, site: str) -> None:
    browser.open(f"{site}/race?range=1026")
    keep(browser, "missing")
    assert browser.text("[role=alert]") == "no Pokémon has any of these numbers"
    assert browser.text("ul").startswith("1026 by gather: not found\nNot Found")
    (failed_to_load,) = browser.console()
    assert "404 (Not Found)" in failed_to_load
