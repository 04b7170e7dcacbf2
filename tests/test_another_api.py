"""Another API: one module replaces pokeapi.py, and the function fetches its names.

The function runs in its own process, in a copy of the package in which only that module differs.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from shutil import copy, copytree
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from tests.conftest import ROOT, every_strategy, http_event
from tests.sources.test_sqs import batch, failed_messages
from tests.tools.function import Invoke, started
from tests.tools.pokeapi import PokeAPI, answers, serving

TOKEN = "a token"  # noqa: S105
LAST = 100
NOT_LISTED = "not in the list of all posts"
NO_LIST = "this API has no list"
ABSENT = "the body says that the number does not exist"

DOWN = answers.status(503)
# All strategies except the one that sends no request for a number.
number_by_number = pytest.mark.parametrize("strategy", ["gather", "sequential", "sync"])


class Posts(PokeAPI):
    """A service shaped like JSONPlaceholder: the list is an array, and an absent post is a 404."""

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._watch])
        application.router.add_get("/posts", self._list)
        application.router.add_get("/posts/{number}", self._one)
        return application

    async def _list(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(list(map(post, range(1, LAST + 1))))

    async def _one(self, request: web.Request) -> web.StreamResponse:
        number = int(request.match_info["number"])
        if request.headers["Accept"] != "application/json":
            return web.Response(status=406)
        if number in self.answers:
            return await self.answers[number](request)
        if number > LAST:
            return web.json_response({}, status=404)
        return web.json_response(post(number))


class Stories(PokeAPI):
    """A service shaped like Hacker News: no list, and 200 with `null` for what does not exist."""

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._watch])
        application.router.add_get("/v0/item/{number}.json", self._one)
        return application

    async def _one(self, request: web.Request) -> web.StreamResponse:
        number = int(request.match_info["number"])
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        if number in self.answers:
            return await self.answers[number](request)
        return web.json_response({"by": "pg", "title": title(number)} if number <= LAST else None)


class Running(NamedTuple):
    """A service, and the function that fetches from it, with its folder and its environment."""

    service: PokeAPI
    project: Path
    variables: dict[str, str]
    invoke: Invoke

    def report(self, **fields: Any) -> Any:
        return self.invoke({"fresh": True, **fields})


def title(number: int) -> str:
    return f"Title {number}"


def post(number: int) -> dict[str, Any]:
    return {"userId": 1, "id": number, "title": title(number), "body": "two\nlines"}


def titles(*numbers: int) -> list[str]:
    return list(map(title, numbers))


@contextmanager
def running(service: PokeAPI, path: str, module: str, project: Path) -> Iterator[Running]:
    """Serve, and start the function in a copy of the project that has the module."""
    copytree(ROOT / "src", project / "src")
    copy(ROOT / "tests" / "fetching" / module, project / "src/pokemon_names/fetching/pokeapi.py")
    for shared in ("events", "tests"):
        (project / shared).symlink_to(ROOT / shared)
    with serving(service) as port, ExitStack() as stack:
        variables = {**os.environ, "POKEAPI_URL": f"http://127.0.0.1:{port}{path}"}
        variables["API_TOKEN"] = TOKEN
        with chdir(project):
            invoke = stack.enter_context(started(variables, subprocess.DEVNULL))
        yield Running(service, project, variables, invoke)


@pytest.fixture(scope="module")
def running_posts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    project = tmp_path_factory.mktemp("posts")
    with running(Posts(), "", "post_titles.py", project) as posts:
        yield posts


@pytest.fixture(scope="module")
def running_stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    project = tmp_path_factory.mktemp("stories")
    with running(Stories(), "/v0", "story_titles.py", project) as stories:
        yield stories


@pytest.fixture
def posts(running_posts: Running) -> Running:
    running_posts.service.answers = {}
    running_posts.service.requests = 0
    return running_posts


@pytest.fixture
def stories(running_stories: Running) -> Running:
    running_stories.service.answers = {}
    running_stories.service.requests = 0
    return running_stories


# An API whose list is an array.


@every_strategy
def test_every_strategy_fetches_the_titles_of_posts(posts: Running, strategy: str) -> None:
    report = posts.report(range="1-20", strategy=strategy)
    assert report["names"] == titles(*range(1, 21))
    assert posts.service.requests == (1 if strategy == "index" else 20)


@every_strategy
def test_a_post_that_is_a_404_and_not_listed_is_not_found(posts: Running, strategy: str) -> None:
    report = posts.report(range="100-101", strategy=strategy)
    (failure,) = report["failures"]
    assert report["names"] == titles(100)
    assert (failure["reason"], failure["detail"]) == ("not_found", NOT_LISTED)
    assert posts.service.requests == (1 if strategy == "index" else 3)


@number_by_number
def test_posts_that_fail_have_their_titles_from_the_list(posts: Running, strategy: str) -> None:
    posts.service.answers = {
        1: answers.first(DOWN, then=answers.json(json.dumps(post(1)))),
        2: answers.status(500),
        3: answers.status(403),
        4: answers.page,
        5: answers.json(json.dumps(post(6))),
        6: answers.reset,
    }
    report = posts.report(range="1-20", strategy=strategy)
    assert report["names"] == titles(*range(1, 21))
    assert report["timing"]["listed"] >= 5


def test_a_race_fetches_the_titles_of_posts_by_every_strategy(posts: Running) -> None:
    race = json.loads(posts.invoke(http_event("/race", range="1-5"))["body"])["race"]
    assert [report["names"] for report in race] == [titles(*range(1, 6))] * 4


def test_make_run_prints_the_titles_of_posts(posts: Running) -> None:
    done = make_run(posts, "--live", "--range=1-3")
    assert done.stdout.splitlines() == titles(1, 2, 3)
    assert done.returncode == 0


def make_run(running: Running, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.tools.run", *options, "events/direct.json"],
        cwd=running.project,
        env=running.variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


# An API without a list, in which absence is a body, and which demands a header.


@number_by_number
def test_without_a_list_stories_have_their_titles(stories: Running, strategy: str) -> None:
    report = stories.report(range="1-20", strategy=strategy)
    assert report["names"] == titles(*range(1, 21))
    assert stories.service.requests == 20


@number_by_number
def test_a_story_that_is_null_costs_one_request(stories: Running, strategy: str) -> None:
    report = stories.report(range="100-101", strategy=strategy)
    (failure,) = report["failures"]
    assert report["names"] == titles(100)
    assert (failure["reason"], failure["status"], failure["attempts"]) == ("not_found", None, 1)
    assert failure["detail"].startswith(ABSENT)
    assert failure["detail"].endswith(NO_LIST)
    assert stories.service.requests == 2


def test_a_story_that_is_null_is_a_404(stories: Running) -> None:
    reply = stories.invoke(http_event("/pokemon/101"))
    assert reply["statusCode"] == 404


@number_by_number
def test_stories_that_fail_cost_no_other_title(stories: Running, strategy: str) -> None:
    right = answers.json(json.dumps({"title": title(1)}))
    stories.service.answers = {1: answers.first(DOWN, answers.page, then=right)}
    stories.service.answers[3] = answers.status(403)
    report = stories.report(range="1-20", strategy=strategy)
    (failure,) = report["failures"]
    assert report["names"] == titles(1, 2, *range(4, 21))
    assert (failure["number"], failure["reason"], failure["status"]) == (3, "bad_status", 403)
    assert stories.service.requests == 22


def test_the_strategy_index_says_that_there_is_no_list(stories: Running) -> None:
    report = stories.report(range="1-2", strategy="index")
    assert report["names"] == []
    assert [failure["detail"] for failure in report["failures"]] == [NO_LIST] * 2
    assert stories.service.requests == 0


def test_without_a_list_the_other_strategies_race(stories: Running) -> None:
    race = json.loads(stories.invoke(http_event("/race", range="1-5"))["body"])["race"]
    names = {report["strategy"]: report["names"] for report in race}
    assert names.pop("index") == []
    assert list(names.values()) == [titles(*range(1, 6))] * 3


def test_a_message_is_not_retried_because_of_a_story_that_is_null(stories: Running) -> None:
    stories.service.answers[1] = answers.status(403)
    reply = stories.invoke(batch('{"range": "1", "fresh": true}', '{"range": "100-101"}'))
    assert failed_messages(reply) == ["m0"]


def test_make_run_with_the_local_pokeapi_says_that_it_has_no_stories(stories: Running) -> None:
    done = make_run(stories, "--range=1-3")
    assert done.stdout == ""
    assert "failed: 1, not_found" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
