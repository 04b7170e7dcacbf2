"""The function over HTTP: `make serve`."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.tools.serve import LINKS, Environment

LINE = r"[A-Z]+ /\S* [1-5][0-9]{2} [0-9]+\.[0-9]{2} s"

# The first request waits for the function's imports.
get = partial(httpx.get, timeout=60, trust_env=False)


@contextmanager
def started(*options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.tools.serve", "--port=0", *options]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that is printed."""
    assert process.stdout
    return process.stdout.readline().rstrip()


def race_of(process: subprocess.Popen[str]) -> str:
    """Return the URL of the race, after reading all that is printed before the first request."""
    _, url, *_ = [line_of(process) for _ in range(len(LINKS) + 2)]
    return url


def end(process: subprocess.Popen[str], number: int) -> tuple[str, str]:
    """End the program with a signal, and return what else it printed.

    Its standard error ends when the last process that has it does, so none is left.
    """
    process.send_signal(number)
    printed = process.communicate(timeout=60)
    assert process.returncode == 0
    return printed


@pytest.fixture(scope="module")
def site() -> Iterator[httpx.Client]:
    """Serve the function without its log, and yield a client."""
    with started() as process:
        url = race_of(process).removesuffix("/race")
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            yield client
        printed, errors = end(process, signal.SIGTERM)
    assert errors == ""
    assert all(re.fullmatch(LINE, line) for line in printed.splitlines())


@pytest.mark.parametrize(
    ("path", "accept", "content_type", "text"),
    [
        ("/", "*/*", "text/html; charset=utf-8", "The names of Pokémon"),
        ("/pokemon?range=1-3", "*/*", "application/json", '"bulbasaur", "ivysaur", "venusaur"'),
        ("/pokemon/151", "*/*", "application/json", '"names": ["mew"]'),
        ("/pokemon?range=1&range=151", "*/*", "application/json", '["bulbasaur", "mew"]'),
        ("/pokemon?range=1%2C151", "*/*", "application/json", '["bulbasaur", "mew"]'),
        ("/pokemon/%31%35%31", "text/plain", "text/plain; charset=utf-8", "mew\n"),
        ("/race?range=1-3", "text/plain", "text/plain; charset=utf-8", "sequential "),
        ("/race?range=1", "*/*", "application/json", '"strategy": "sync"'),
        ("/openapi.yaml", "*/*", "application/yaml", "openapi: 3.1.0\n"),
    ],
)
def test_a_route(site: httpx.Client, path: str, accept: str, content_type: str, text: str) -> None:
    response = site.get(path, headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == content_type
    assert text in response.text


def test_the_form_of_the_page(site: httpx.Client) -> None:
    query = "range=1&strategies=gather&strategies=index"
    page = site.get(f"/race?{query}", headers={"Accept": "text/html"})
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Content-Security-Policy" in page.headers
    assert page.text.count('class="code"') == 2


@pytest.mark.parametrize(
    ("method", "path", "status", "field"),
    [
        ("GET", "/pokemon?range=x", 400, "range"),
        ("GET", "/pokemon?range=", 400, "range"),
        ("GET", "/pokemon/mew%2Ftwo", 404, "path"),
        ("GET", "/nothing", 404, "path"),
        ("GET", "/caf%C3%A9", 404, "path"),
        ("POST", "/pokemon", 405, "method"),
        ("PUT", "/", 405, "method"),
    ],
)
def test_a_problem(site: httpx.Client, method: str, path: str, status: int, field: str) -> None:
    response = site.request(method, path)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["field"] == field


@pytest.mark.parametrize("content", [b"text", b"\xff"])
def test_a_body_is_passed_on(site: httpx.Client, content: bytes) -> None:
    response = site.post("/pokemon", content=content)
    assert response.status_code == 405


def test_a_path_arrives_as_it_was_sent(site: httpx.Client) -> None:
    assert site.get("/pokemon/%C3%A9%2520").json()["given"] == "é%20"  # decoded only once


def test_head_sends_no_length_because_it_does_not_know_it(site: httpx.Client) -> None:
    response = site.head("/pokemon/151")
    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["ETag"] == site.get("/pokemon/151").headers["ETag"]
    assert "Content-Length" not in response.headers


def test_a_response_that_the_caller_already_has(site: httpx.Client) -> None:
    tag = site.get("/pokemon/151").headers["ETag"]
    response = site.get("/pokemon/151", headers={"If-None-Match": tag})
    assert response.status_code == 304
    assert response.content == b""


def test_the_function_stays_warm(site: httpx.Client) -> None:
    replies = [site.get("/pokemon?range=701-703").json() for _ in range(3)]
    assert [reply["timing"]["cached"] for reply in replies] == [0, 3, 3]


def test_concurrent_requests_take_turns(site: httpx.Client) -> None:
    urls = [f"/pokemon/{number}" for number in range(1, 9)]
    with ThreadPoolExecutor(len(urls)) as threads:
        replies = [response.json() for response in threads.map(site.get, urls)]
    assert [reply["range"] for reply in replies] == ["1", "2", "3", "4", "5", "6", "7", "8"]


def test_a_request_is_one_line_and_the_log_is_shown_on_demand() -> None:
    with started("--logs") as process:
        get(race_of(process).replace("/race", "/pokemon?range=1%2D3"))
        line = line_of(process)
        assert re.fullmatch(LINE, line)
        assert line.startswith("GET /pokemon?range=1%2D3 200 ")
        printed, log = end(process, signal.SIGINT)
    assert printed == ""
    assert '"Namespace":"PokemonNames"' in log


def test_the_links_come_first_and_work() -> None:
    with started() as process:
        *links, environment, last = [line_of(process) for _ in range(len(LINKS) + 2)]
        assert [re.sub(r"^http://127\.0\.0\.1:[0-9]+", "", link) for link in links] == list(LINKS)
        assert environment.startswith("One environment handles one request at a time.")
        assert last == "Ctrl-C stops it."
        assert [get(link).status_code for link in links if not link.endswith("/race")] == [200] * 3


def test_a_request_whose_caller_is_gone_is_dropped(url: str, asked: threading.Event) -> None:
    with started("--live", POKEAPI_URL=url) as process, ThreadPoolExecutor() as threads:
        site = httpx.URL(race_of(process))
        assert site.port
        address = ("127.0.0.1", site.port)
        first = threads.submit(get, site.join("/pokemon/1"))
        assert asked.wait(60)
        with socket.create_connection(address) as gone:
            gone.sendall(b"GET /pokemon/2 HTTP/1.1\r\nHost: pokemon.test\r\n\r\n")
        with socket.create_connection(address) as other:  # answered without the function
            other.sendall(b"\r\n\r\nno HTTP\r\n\r\n")
            assert other.recv(1000).startswith(b"HTTP/1.0 400 ")
        last = threads.submit(get, site.join("/pokemon/3"))
        first.result()
        assert last.result().json()["names"] == ["venusaur"]
        lines = [line_of(process) for _ in range(3)]
    assert lines[0].startswith("GET /pokemon/1 ")
    assert lines[1] == "GET /pokemon/2 dropped: its caller is gone"
    assert lines[2].startswith("GET /pokemon/3 200 ")


async def test_the_function_restarts_when_a_file_has_changed(url: str, tmp_path: Path) -> None:
    environment = Environment({"POKEAPI_URL": url}, subprocess.DEVNULL, tmp_path)
    processes = []
    for name in ("a.py", "a.pyc", "views/style.css"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
        reply = await environment.invoke({"range": "1"})
        assert reply["names"] == ["bulbasaur"]
        processes.append(environment.process)
    await environment.close()
    first, after_bytecode, after_style = processes
    assert first is after_bytecode
    assert first is not after_style


def test_an_exception_of_the_function_is_a_502_and_one_line() -> None:
    with started(MAX_NUMBERS="x") as process:
        response = get(race_of(process))
        assert response.status_code == 502
        assert response.json() == {"message": "Internal Server Error"}
        assert line_of(process).startswith("GET /race 502 ")
        _, errors = end(process, signal.SIGTERM)
    assert errors == "InvalidSetting: MAX_NUMBERS: got 'x', allowed: a whole number, 1 or more\n"


def test_ctrl_c_ends_it_while_a_race_runs(url: str, asked: threading.Event) -> None:
    with started("--live", "--logs", POKEAPI_URL=url) as process, ThreadPoolExecutor() as threads:
        site = race_of(process)
        responses = [threads.submit(get, f"{site}?range=1") for _ in range(2)]
        assert asked.wait(60)
        assert end(process, signal.SIGINT) == ("", "")
        errors = [response.exception() for response in responses]
    ended = {httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError}
    assert {type(error) for error in errors} <= ended


async def test_after_the_function_died_the_next_request_starts_it_again(
    url: str, asked: threading.Event
) -> None:
    environment = Environment({"POKEAPI_URL": url}, subprocess.DEVNULL)
    invoking = asyncio.create_task(environment.invoke({"range": "1"}))
    await asyncio.to_thread(asked.wait, 60)
    assert environment.process
    environment.process.kill()
    assert await invoking == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "Runtime exited with exit status -9",
    }
    reply = await environment.invoke({"range": "2"})
    assert reply["names"] == ["ivysaur"]
    await environment.close()


def test_the_function_ends_with_a_program_that_is_killed() -> None:
    with started("--logs") as process:
        get(f"{race_of(process)}?range=x")
        process.kill()
        process.communicate(timeout=60)
