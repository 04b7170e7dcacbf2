"""The API's description, held against what the handler really answers."""

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from pokemon_names import web
from pokemon_names.outcome import Reason
from pokemon_names.request import FIELDS, STRATEGIES
from tests.conftest import Handle
from tests.test_web import PATHS, get
from tests.tools import docs
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer

API = yaml.safe_load(Path(web.__file__).with_name("openapi.yaml").read_text(encoding="utf-8"))
SCHEMAS = API["components"]["schemas"]
FORBIDDEN = answers.text(403, "Forbidden")
VALUES = {"range": "1", "strategy": "gather", "fresh": "true", "trace": "true", "strategies": "gather"}


def resolved(node: Any) -> Any:
    if "$ref" not in node:
        return node
    found = API
    for key in node["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return found


def fits(value: Any, schema: Any) -> None:
    Draft202012Validator({"components": API["components"], **schema}).validate(value)


def replies(path: str) -> dict[int, Any]:
    return {int(status): resolved(reply) for status, reply in API["paths"][path]["get"]["responses"].items()}


def test_it_is_openapi() -> None:
    validate(API)


def test_every_path_and_no_other() -> None:
    assert list(API["paths"]) == PATHS.split(", ")


def test_the_page_for_people_says_the_same() -> None:
    assert docs.PAGE.read_text(encoding="utf-8") == docs.made(), "make docs"


@pytest.mark.parametrize("path", API["paths"])
def test_every_field_and_no_other(handle: Handle, path: str) -> None:
    parameters = [resolved(one) for one in API["paths"][path]["get"].get("parameters", [])]
    described = {one["name"] for one in parameters if one["in"] == "query"}
    taken = {
        field
        for field in VALUES
        if handle(get(path.format(number=1), **{field: VALUES[field]}))["statusCode"] == HTTPStatus.OK
    }
    assert {*FIELDS, "strategies"} == VALUES.keys()
    assert described == (set() if path in {"/", "/openapi.yaml"} else taken)


def test_every_strategy_reason_and_status_and_no_other() -> None:
    parameters = API["components"]["parameters"]
    assert parameters["strategy"]["schema"]["enum"] == SCHEMAS["Report"]["properties"]["strategy"]["enum"]
    assert parameters["strategy"]["schema"]["enum"] == list(STRATEGIES)
    assert SCHEMAS["Failure"]["properties"]["reason"]["enum"] == list(get_args(Reason))
    in_code = re.findall(r"HTTPStatus\.([A-Z_]+)", Path(web.__file__).read_text(encoding="utf-8"))
    assert {HTTPStatus[name] for name in in_code} == {status for path in API["paths"] for status in replies(path)}


@pytest.mark.parametrize("path", API["paths"])
@pytest.mark.parametrize(
    ("status", "answer", "asked"),
    [
        (200, None, {}),
        (200, None, {"accept": "text/plain"}),
        (304, None, {"if-none-match": "*"}),
        (400, None, {"limit": "3"}),
        (404, answers.text(404, "Not Found"), {}),
        (405, None, {"method": "PUT"}),
        (502, FORBIDDEN, {}),
        (504, answers.hang, {"seconds": 2.3}),
    ],
)
def test_what_the_handler_answers_is_described(  # noqa: PLR0913, PLR0917
    pokeapi: PokeAPI,
    load_app: Callable[..., ModuleType],
    path: str,
    status: int,
    answer: Answer | None,
    asked: dict[str, Any],
) -> None:
    pokeapi.answers = {1: answer, PokeAPI.LIST: answer} if answer else {}
    fields = {name: value for name, value in asked.items() if name == "limit"}
    if path in {"/pokemon", "/race"}:
        fields["range"] = "1"
    event = get(path.format(number=1), asked.get("accept"), asked.get("method", "GET"), **fields)
    event["headers"]["if-none-match"] = asked.get("if-none-match", "")
    reply = load_app().handler(event, Context(seconds=asked.get("seconds", 30.0)))
    assert reply["statusCode"] == (status if status in replies(path) else HTTPStatus.OK)
    _check(reply, replies(path)[reply["statusCode"]])


def _check(reply: dict[str, Any], described: dict[str, Any]) -> None:
    headers = {name: resolved(one) for name, one in described.get("headers", {}).items()}
    assert reply["headers"].keys() - {"Content-Type"} <= headers.keys()
    assert {name for name, one in headers.items() if one.get("required")} <= reply["headers"].keys()
    for name in headers.keys() & reply["headers"].keys():
        fits(reply["headers"][name], headers[name]["schema"])
    if "content" not in described:
        assert not reply["body"]
        return
    media_type = reply["headers"]["Content-Type"].partition(";")[0]
    read = {"text/plain": str, "text/html": str, "application/yaml": yaml.safe_load}.get(media_type, json.loads)
    body, schema = read(reply["body"]), described["content"][media_type]["schema"]
    fits(body, schema)
    if "json" in media_type:
        assert body.keys() <= _members(schema)


def _members(schema: Any) -> set[str]:
    """Give what an object may hold: schemas leave out that it may hold nothing else, for some are parts of others."""
    schema = resolved(schema)
    parts = [_members(part) for part in [*schema.get("allOf", []), *schema.get("anyOf", [])]]
    return set(schema.get("properties", {})).union(*parts)


def test_a_report_and_its_parts_have_every_member_described_and_no_other(pokeapi: PokeAPI, handle: Handle) -> None:
    pokeapi.answers = {2: FORBIDDEN}
    report = json.loads(handle(get("/pokemon", range="1-2"))["body"])
    (entry, *_) = json.loads(handle(get("/race", range="1-2"))["body"])["race"]
    assert report.keys() == set(SCHEMAS["Report"]["required"]) == _members(SCHEMAS["Report"]) - {"trace"}
    assert report["timing"].keys() == set(SCHEMAS["Timing"]["required"]) == _members(SCHEMAS["Timing"])
    assert report["failures"][0].keys() == set(SCHEMAS["Failure"]["required"]) == _members(SCHEMAS["Failure"])
    assert entry.keys() == _members(SCHEMAS["RaceEntry"]) - {"trace"}


def test_a_trace_is_described(handle: Handle) -> None:
    report = json.loads(handle(get("/pokemon", range="1-2", trace="true"))["body"])
    fits(report, SCHEMAS["Report"])
    assert report["trace"][0].keys() == set(SCHEMAS["Exchange"]["required"]) == _members(SCHEMAS["Exchange"])
