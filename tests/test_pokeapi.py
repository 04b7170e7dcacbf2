"""The local PokeAPI itself, compared with the live service."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import NAMES
from tests.tools.pokeapi import PokeAPI, serving
from tests.tools.pokeapi.answers import Answer
from tests.tools.pokeapi.bodies import Pokemon, made, pokemon, recorded
from tests.tools.pokeapi.faults import FAULTS, Faults
from tests.tools.pokeapi.weather import Weather

BODIES = os.environ.get("BODIES")
NUMBERS = [*range(1, 1026), *range(10001, 10327)]


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url) as client:
        yield client


def test_every_number_has_a_name_of_its_own() -> None:
    assert list(pokemon()) == NUMBERS
    assert len({listed.name for listed in pokemon().values()}) == len(NUMBERS)


def test_made_bodies_are_as_large_as_the_real_ones() -> None:
    every_tenth = list(pokemon().values())[::10]
    sizes = [len(gzip.decompress(made(listed))) for listed in every_tenth]
    assert max(sizes) > 500_000
    assert min(sizes) < 20_000
    for size, listed in zip(sizes, every_tenth, strict=True):
        assert abs(size - listed.size) < 2_000


@pytest.mark.parametrize("path", ["pokemon/151", "pokemon/151/", "pokemon/mew"])
def test_one_pokemon(http: httpx.Client, path: str) -> None:
    response = http.get(path)
    body = response.json()
    assert body["id"] == 151
    assert body["name"] == "mew"
    assert {"abilities", "moves", "species", "sprites", "stats", "types"} < body.keys()
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Cache-Control"] == "public, max-age=86400, s-maxage=86400"
    assert response.headers["X-PokeAPI-Hash"]
    assert response.headers["X-PokeAPI-Deploy-Date"]


def test_without_gzip(http: httpx.Client) -> None:
    response = http.get("pokemon/151", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in response.headers
    assert response.json()["name"] == "mew"


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("pokemon/0", 404, "Not Found"),
        ("pokemon/1026", 404, "Not Found"),
        ("pokemon/10000", 404, "Not Found"),
        ("pokemon/10327", 404, "Not Found"),
        ("pokemon/missingno", 404, "Not Found"),
        ("pokemon/MEW", 400, "Bad Request"),
        ("pokemon/1%20", 400, "Bad Request"),
        ("berry/1", 404, "Not Found"),
    ],
)
def test_errors_are_plain_text(http: httpx.Client, path: str, status: int, body: str) -> None:
    response = http.get(path)
    assert response.status_code == status
    assert response.text == body
    assert response.headers["Content-Type"].startswith("text/plain")
    assert "max-age=432000" in response.headers["Cache-Control"]


def test_the_list_has_pages_of_twenty(http: httpx.Client) -> None:
    first = http.get("pokemon").json()
    bulbasaur = {"name": "bulbasaur", "url": "https://pokeapi.co/api/v2/pokemon/1/"}
    assert first["count"] == 1351
    assert len(first["results"]) == 20
    assert first["results"][0] == bulbasaur
    assert first["previous"] is None
    assert first["next"] == "https://pokeapi.co/api/v2/pokemon?offset=20&limit=20"
    last = http.get("pokemon", params={"offset": 1340, "limit": 20}).json()
    assert len(last["results"]) == 11
    assert last["previous"] == "https://pokeapi.co/api/v2/pokemon?offset=1320&limit=20"
    assert last["next"] is None


def test_a_page_of_the_list_may_be_of_any_size(http: httpx.Client) -> None:
    page = http.get("pokemon", params={"limit": 100_000, "offset": 0}).json()
    assert [entry["name"] for entry in page["results"]] == list(NAMES.values())
    assert page["previous"] is None
    assert page["next"] is None


def test_the_version_of_the_data(http: httpx.Client) -> None:
    response = http.get("meta/")
    assert response.json()["hash"] == response.headers["X-PokeAPI-Hash"]


def test_recorded_bodies_are_served_unchanged(tmp_path: Path) -> None:
    body = b'{"name":"mew","recorded":true}'
    (tmp_path / "151.json.gz").write_bytes(gzip.compress(body))
    with serving(PokeAPI(tmp_path)) as port:
        response = httpx.get(f"http://127.0.0.1:{port}/api/v2/pokemon/151")
    assert response.json() == {"name": "mew", "recorded": True}


def test_it_runs_in_a_process_of_its_own_and_stops_cleanly() -> None:
    options = ["--host", "localhost", "--port", "0", "--delay", "0.001"]
    command = [sys.executable, "-m", "tests.tools.pokeapi", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2]
        assert url.startswith("http://localhost:")
        assert httpx.get(f"{url}/pokemon/151").json()["name"] == "mew"
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


def next_faults(seed: int) -> list[Answer | None]:
    faults = Faults({"500": 0.2, "reset": 0.1}, seed)
    return [faults.next(f"/pokemon/{number}") for number in range(1000)]


def test_faults_come_at_their_rates() -> None:
    faults = Counter(next_faults(seed=1))
    assert 150 < faults[FAULTS["500"]] < 250
    assert 50 < faults[FAULTS["reset"]] < 150
    assert faults.keys() == {FAULTS["500"], FAULTS["reset"], None}


def test_the_seed_decides_which_requests_get_faults() -> None:
    assert next_faults(seed=1) == next_faults(seed=1)
    assert next_faults(seed=1) != next_faults(seed=2)


def test_each_request_for_a_path_may_get_another_fault() -> None:
    faults = Faults({"500": 0.5}, seed=0)
    assert {faults.next("/pokemon/1") for _ in range(20)} == {FAULTS["500"], None}


def test_unknown_faults_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^flood: no such fault, only 429, 500, "):
        Faults({"flood": 1}, seed=0)


def statuses(url: str, numbers: Iterable[int]) -> list[int]:
    return [httpx.get(f"{url}/pokemon/{number}").status_code for number in numbers]


@pytest.mark.parametrize(
    ("weather", "expected"),
    [
        ({"outage": 60}, [503, 503, 503, 503]),
        ({"outage": 0}, [200, 200, 200, 200]),
        ({"busy": 3}, [429, 429, 429, 200]),
        ({"once": 1}, [503, 503, 200, 503]),
        ({"hopeless": 2}, [200, 500, 200, 200]),
        ({"once": 1, "hopeless": 1}, [503, 503, 500, 503]),
    ],
)
def test_weather_lasts(
    pokeapi: PokeAPI, url: str, weather: dict[str, float], expected: list[int]
) -> None:
    pokeapi.weather = Weather(weather)
    assert statuses(url, (1, 2, 1, 3)) == expected


def test_a_limit_lets_ten_through_at_once(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.weather = Weather({"limit": 0.001})
    assert statuses(url, range(1, 13)) == [200] * 10 + [503] * 2


def test_after_it_refused_connections_it_listens_on_the_same_port(
    pokeapi: PokeAPI, url: str
) -> None:
    pokeapi.weather = Weather({"refuse": 0.3})
    with pytest.raises(httpx.TransportError):
        statuses(url, [1])
    with pytest.raises(httpx.ConnectError):
        statuses(url, [1])
    with httpx.Client(transport=httpx.HTTPTransport(retries=9)) as patient:
        assert patient.get(f"{url}/pokemon/1").status_code == 200


def test_it_stops_cleanly_while_it_refuses_connections(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.weather = Weather({"refuse": 60})
    with pytest.raises(httpx.TransportError):
        statuses(url, [1])


def test_a_list_cut_short_says_so(pokeapi: PokeAPI, url: str) -> None:
    pokeapi.weather = Weather({"cut": 2})
    page = httpx.get(f"{url}/pokemon?limit=100000&offset=0").json()
    assert [entry["name"] for entry in page["results"]] == ["bulbasaur", "ivysaur"]
    assert page["next"]


def test_unknown_weather_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^fog: no such weather, only refuse, outage, "):
        Weather({"fog": 1})


needs_recorded_bodies = pytest.mark.skipif(
    not BODIES, reason="PokeAPI's real bodies are not at hand: make test BODIES=folder"
)


@pytest.fixture
def real() -> Callable[[Pokemon], bytes]:
    assert BODIES
    return recorded(Path(BODIES))


@needs_recorded_bodies
def test_names_and_sizes_are_the_recorded_ones(real: Callable[[Pokemon], bytes]) -> None:
    for one in pokemon().values():
        body = gzip.decompress(real(one))
        assert json.loads(body)["name"] == one.name
        assert len(body) == one.size


@needs_recorded_bodies
def test_made_bodies_have_the_fields_of_the_recorded_ones(
    real: Callable[[Pokemon], bytes],
) -> None:
    mew = pokemon()[151]
    assert field_names(made(mew)) == field_names(real(mew))


def field_names(body: bytes) -> list[str]:
    return list(json.loads(gzip.decompress(body)))
