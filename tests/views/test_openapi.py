"""The API's description, compared with the handler's replies."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from pokemon_names.model import DEFAULT_RACE_RANGE, DEFAULT_RANGE, FIELDS, STRATEGIES, Reason
from pokemon_names.sources import responses
from pokemon_names.views import pages
from tests.conftest import Handle, LoadApp, http_event
from tests.sources.test_http import PATHS
from tests.tools import docs
from tests.tools.invoke import Context
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer

API = yaml.safe_load(Path(pages.__file__).with_name("openapi.yaml").read_text(encoding="utf-8"))
PARAMETERS = API["components"]["parameters"]
SCHEMAS = API["components"]["schemas"]
FORBIDDEN = answers.text(403, "Forbidden")
MARGIN_SECONDS = 2.0  # an invocation with only this much time fetches nothing
TIME = re.compile(r" *\d+\.\d+")  # or a speed-up: nothing else in a reply has a decimal point

# A value for each field of a query.
VALUES = {
    "range": "1",
    "strategy": "gather",
    "fresh": "true",
    "trace": "true",
    "strategies": "gather",
}


def resolve(node: Any) -> Any:
    """Return the target of a node's reference, or the node itself if it has none."""
    if "$ref" not in node:
        return node
    found = API
    for key in node["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return found


def check_schema(value: Any, schema: Any) -> None:
    Draft202012Validator({"components": API["components"], **schema}).validate(value)


def described_replies(path: str) -> dict[int, Any]:
    responses = API["paths"][path]["get"]["responses"]
    return {int(status): resolve(response) for status, response in responses.items()}


def members(schema: Any) -> set[str]:
    """Return the members that a schema describes, including those of its parts.

    `additionalProperties` cannot rule out other members in schemas that are parts of others.
    """
    schema = resolve(schema)
    names = set(schema.get("properties", {}))
    for part in [*schema.get("allOf", []), *schema.get("anyOf", [])]:
        names |= members(part)
    return names


def check_members(value: Mapping[str, Any], name: str, *, optional: Iterable[str] = ()) -> None:
    """Check that a value has all members of a schema except the optional ones, and no others."""
    schema = SCHEMAS[name]
    assert value.keys() == members(schema).difference(optional)
    assert value.keys() == set(schema["required"])


def test_the_description_is_openapi() -> None:
    validate(API)


# The keywords of schemas. In YAML's flow style, an unquoted comma in a description would turn the
# text after it into a keyword.
KEYWORDS = {
    *("$ref", "additionalProperties", "allOf", "anyOf", "const", "default", "description", "enum"),
    *("items", "maxLength", "maximum", "minLength", "minimum", "pattern", "properties", "required"),
    "type",
}


def all_schemas() -> list[dict[str, Any]]:
    """Return all schemas of the description, including nested ones."""
    found = []
    others = [*PARAMETERS.values(), *API["components"]["headers"].values()]
    nodes = [*SCHEMAS.values(), *(one["schema"] for one in others)]
    while nodes:
        node = nodes.pop()
        found.append(node)
        nodes += [
            *node.get("properties", {}).values(),
            *node.get("allOf", ()),
            *node.get("anyOf", ()),
        ]
        nodes += [node["items"]] if "items" in node else []
    return found


def test_a_schema_has_only_known_keywords() -> None:
    for schema in all_schemas():
        assert schema.keys() <= KEYWORDS, schema


def test_a_schema_has_either_parts_or_properties() -> None:
    """Client generators drop properties that stand next to parts."""
    for schema in all_schemas():
        assert not ({"allOf", "anyOf"} & schema.keys() and "properties" in schema), schema


def test_server_security_and_licence_are_described() -> None:
    """Redocly's linter requires them."""
    assert [server["url"] for server in API["servers"]] == ["/"]
    assert API["security"] == [{}, {"iam": []}]
    assert API["components"]["securitySchemes"].keys() == {"iam"}
    assert API["info"]["license"]["identifier"] == "MIT"


def test_exactly_the_served_paths_are_described() -> None:
    assert list(API["paths"]) == PATHS.split(", ")


def test_the_documentation_page_is_up_to_date_with_the_description() -> None:
    assert docs.PAGE.read_text(encoding="utf-8") == docs.made(), "make docs"


def described_examples() -> Iterator[tuple[str, Any, Any]]:
    """Yield each example, with its media type and schema."""
    for response in API["components"]["responses"].values():
        for media_type, content in response.get("content", {}).items():
            for example in content.get("examples", {}).values():
                yield media_type, content["schema"], example


@pytest.mark.parametrize(("media_type", "schema", "example"), [*described_examples()])
def test_every_example_is_the_reply_to_its_request_except_for_times(
    handle: Handle, media_type: str, schema: Any, example: Any
) -> None:
    check_schema(example["value"], schema)
    url = urlsplit(example["summary"])
    reply = handle(http_event(url.path, media_type, **dict(parse_qsl(url.query))))
    text = example["value"]
    if media_type == "application/json":
        text = f"{json.dumps(text)}\n"
    assert TIME.sub("", reply["body"]) == TIME.sub("", text)


def test_what_paths_share_is_described_once() -> None:
    page = docs.made()
    for text in ("The caller already has the names", "none of the names in time", "<dt>fresh</dt>"):
        assert page.count(text) == 1
    assert 'See <a href="#getNames">GET /pokemon</a>' in page


def test_the_page_shows_why_and_how_before_the_first_command() -> None:
    page = docs.made()
    landmarks = ["PokeAPI has a URL for each Pokémon", "<svg", "URL=https://…", '"$URL/']
    places = [page.index(landmark) for landmark in landmarks]
    assert places == sorted(places)
    assert places[-1] < page.index("<h3>Parameters</h3>")


@pytest.mark.parametrize("url_path", ["/", "/prod"])
def test_links_within_the_page_stay_within_it(url_path: str) -> None:
    page = pages.documentation(url_path)
    assert "<title>The names of Pokémon</title>" in page
    assert '<a href="#getNames">' in page


@pytest.mark.parametrize(
    ("url_path", "root"),
    [
        ("/", ""),
        ("/prod", "./prod/"),
        ("/prod/", ""),
        ("/base/v1", "./v1/"),
        ("/<p>", "./&lt;p&gt;/"),
    ],
)
def test_links_to_other_pages_start_at_the_root_of_the_api(url_path: str, root: str) -> None:
    page = pages.documentation(url_path)
    assert f'<a href="{root}pokemon/151">' in page
    assert pages.ROOT not in page


def test_exactly_the_accepted_fields_are_described(load_app: LoadApp) -> None:
    assert {*FIELDS, "strategies"} == VALUES.keys()
    app = load_app()
    for path, operations in API["paths"].items():
        parameters = [resolve(node) for node in operations["get"].get("parameters", [])]
        described = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
        accepted = set()
        for field, value in VALUES.items():
            event = http_event(path.format(number=1), **{field: value})
            reply = app.handler(event, Context(seconds=MARGIN_SECONDS))
            if reply["statusCode"] != HTTPStatus.BAD_REQUEST:
                accepted.add(field)
        if path in {"/", "/openapi.yaml"}:
            accepted = set()  # these ignore all fields
        assert described == accepted, path


def test_the_default_ranges_are_described() -> None:
    assert PARAMETERS["range"]["schema"]["default"] == DEFAULT_RANGE
    assert PARAMETERS["raceRange"]["schema"]["default"] == DEFAULT_RACE_RANGE
    assert PARAMETERS["raceRange"]["example"] == DEFAULT_RACE_RANGE


def test_exactly_the_existing_strategies_are_described() -> None:
    assert PARAMETERS["strategy"]["schema"]["enum"] == list(STRATEGIES)
    assert SCHEMAS["Report"]["properties"]["strategy"]["enum"] == list(STRATEGIES)


def test_exactly_the_existing_reasons_are_described() -> None:
    assert SCHEMAS["Failure"]["properties"]["reason"]["enum"] == list(get_args(Reason))


def test_exactly_the_statuses_in_the_code_are_described() -> None:
    code = Path(responses.__file__).read_text(encoding="utf-8")
    in_code = {HTTPStatus[name] for name in re.findall(r"HTTPStatus\.([A-Z_]+)", code)}
    described: set[int] = set()
    for path in API["paths"]:
        described |= described_replies(path).keys()
    assert in_code == described


@pytest.mark.parametrize(
    ("status", "answer", "options"),
    [
        (200, None, {}),
        (200, None, {"accept": "text/plain"}),
        (200, None, {"accept": "text/html"}),
        (200, None, {"authorization": "secret"}),
        (304, None, {"if-none-match": "*"}),
        (400, None, {"limit": "3"}),
        (400, None, {"limit": "3", "accept": "text/html"}),
        (404, None, {"lacks": 1}),
        (405, None, {"method": "PUT"}),
        (502, FORBIDDEN, {}),
        (504, None, {"seconds": MARGIN_SECONDS}),
    ],
)
def test_every_reply_matches_its_description(
    pokeapi: PokeAPI,
    load_app: LoadApp,
    status: int,
    answer: Answer | None,
    options: dict[str, Any],
) -> None:
    if answer:
        pokeapi.answers = {1: answer, PokeAPI.LIST: answer}
    lacks = options.get("lacks")
    pokeapi.pokemon = {key: one for key, one in pokeapi.pokemon.items() if key != lacks}
    app = load_app()
    for path in API["paths"]:
        query = {name: value for name, value in options.items() if name == "limit"}
        if path in {"/pokemon", "/race", "/race.svg"}:
            query["range"] = "1"
        method = options.get("method", "GET")
        event = http_event(path.format(number=1), options.get("accept"), method, **query)
        event["headers"]["if-none-match"] = options.get("if-none-match", "")
        if "authorization" in options:
            event["headers"]["authorization"] = options["authorization"]
        reply = app.handler(event, Context(seconds=options.get("seconds", 30.0)))
        described = described_replies(path)
        assert reply["statusCode"] == (status if status in described else HTTPStatus.OK), path
        check_headers(reply, described[reply["statusCode"]])
        check_body(reply, described[reply["statusCode"]])


def check_headers(reply: dict[str, Any], described: dict[str, Any]) -> None:
    headers = {name: resolve(node) for name, node in described.get("headers", {}).items()}
    required = {name for name, header in headers.items() if header.get("required")}
    assert reply["headers"].keys() - {"Content-Type"} <= headers.keys()
    assert required <= reply["headers"].keys()
    for name in headers.keys() & reply["headers"].keys():
        check_schema(reply["headers"][name], headers[name]["schema"])


def check_body(reply: dict[str, Any], described: dict[str, Any]) -> None:
    if "content" not in described:
        assert not reply["body"]
        return
    media_type = reply["headers"]["Content-Type"].partition(";")[0]
    schema = described["content"][media_type]["schema"]
    match media_type:
        case "text/plain" | "text/html" | "image/svg+xml":
            check_schema(reply["body"], schema)
        case "application/yaml":
            check_schema(yaml.safe_load(reply["body"]), schema)
        case _:
            body = json.loads(reply["body"])
            check_schema(body, schema)
            assert body.keys() <= members(schema)


def test_exactly_the_members_of_a_report_and_its_parts_are_described(
    pokeapi: PokeAPI, handle: Handle
) -> None:
    pokeapi.answers = {PokeAPI.LIST: FORBIDDEN, 2: FORBIDDEN}
    report = json.loads(handle(http_event("/pokemon", range="1-2"))["body"])
    check_members(report, "Report", optional={"trace"})
    check_members(report["timing"], "Timing")
    check_members(report["failures"][0], "Failure")
    race = json.loads(handle(http_event("/race", range="1-2"))["body"])["race"]
    assert race[0].keys() == members(SCHEMAS["RaceEntry"]) - {"trace"}


def test_exactly_the_members_of_a_trace_are_described(handle: Handle) -> None:
    report = json.loads(handle(http_event("/pokemon", range="1-2", trace="true"))["body"])
    check_schema(report, SCHEMAS["Report"])
    check_members(report["trace"][0], "Attempt")
