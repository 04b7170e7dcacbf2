"""Generate the documentation page from openapi.yaml: `make docs`.

Terms that several paths share are described at the first of them; the others link to it. Links to
other pages start with a placeholder, which `pages.documentation` replaces.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pokemon_names.model import Attempt
from pokemon_names.views import pages, svg
from pokemon_names.views.waterfall import Lane
from pokemon_names.views.words import ABOUT, CODE, MORAL
from tests.tools import output

DESCRIPTION = Path(pages.__file__).with_name("openapi.yaml")
PAGE = Path(pages.__file__).with_name("documentation.html")

# The picture: so few and so slow that each request is visible.
NUMBERS = 6
RESPONSE_MS = 500.0


class Term(NamedTuple):
    """A parameter or a status, its meaning, and its allowed values or media types as a note."""

    name: str
    meaning: str
    note: str


def main() -> None:
    PAGE.write_text(made(), encoding="utf-8")
    print(PAGE)


def made() -> str:
    """Return the template of the page's content."""
    api = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    paths = [path for path in api["paths"] if path != "/"]
    links: dict[Term, str] = {}  # from terms to the paths that describe them
    parts = [*_introduction(api["info"]["description"]), *_contents(api, paths)]
    for path in paths:
        parts.extend(_path(api, path, links))
    return "".join(parts)


def _introduction(description: str) -> Iterator[str]:
    """Yield the description, with a picture after its first paragraph."""
    reason, *paragraphs = [" ".join(part.split()) for part in description.split("\n\n")]
    sentence, _, reason = reason.partition(". ")
    yield f'<p class="lead">{_code(sentence)}.</p>\n<p>{_code(reason)}</p>\n'
    yield f'<figure id="why">\n{_picture()}\n<figcaption>\n<p class="moral">{MORAL}</p>\n'
    yield '<p class="dim">In theory: each response takes half a second.</p>\n'
    yield "</figcaption>\n</figure>\n"
    yield f'<p class="start"><a class="button" href="{pages.ROOT}race">See a real race</a>\n'
    yield "<small>All strategies fetch the same names. It takes a few seconds.</small></p>\n"
    for paragraph in paragraphs:
        yield f"<p>{_code(paragraph)}</p>\n"


def _picture() -> str:
    """Return the requests of two strategies, calculated, not measured."""
    at_once = [_attempt(number, 0.0) for number in range(1, NUMBERS + 1)]
    in_turn = [_attempt(number, (number - 1) * RESPONSE_MS) for number in range(1, NUMBERS + 1)]
    lanes = [_lane("gather", at_once), _lane("sequential", in_turn)]
    return svg.inline(lanes, "Six requests, all at once and one after another", "why")


def _attempt(number: int, start_ms: float) -> Attempt:
    times = start_ms, start_ms, start_ms + 0.9 * RESPONSE_MS, start_ms + RESPONSE_MS
    return Attempt(number, 1, True, *times, bytes=0)  # noqa: FBT003  its name is `ok`


def _lane(strategy: str, attempts: list[Attempt]) -> Lane:
    total_ms = attempts[-1].end_ms
    title = f"{strategy}: {ABOUT[strategy]}"
    return Lane(title, attempts, total_ms, f"{len(attempts)} names", CODE[strategy])


def _contents(api: Mapping[str, Any], paths: Iterable[str]) -> Iterator[str]:
    yield '<nav aria-label="Paths">\n<ul>\n'
    for path in paths:
        summary = _code(api["paths"][path]["get"]["summary"])
        yield f"<li>{_link_to(api, path)}<small>{summary}</small></li>\n"
    yield "</ul>\n</nav>\n"
    yield "<p>In the commands below, <code>$URL</code> is the address of this page, without the "
    yield "slash at its end:</p>\n"
    yield '<pre class="command"><code>URL=https://…</code></pre>\n'


def _path(api: Mapping[str, Any], path: str, links: dict[Term, str]) -> Iterator[str]:
    operation = api["paths"][path]["get"]
    parameters = [_resolved(api, one) for one in operation.get("parameters", [])]
    responses = {status: _resolved(api, one) for status, one in operation["responses"].items()}
    parameter_terms = [_parameter_term(one) for one in parameters]
    response_terms = [_response_term(status, one) for status, one in responses.items()]
    is_new_reply = response_terms[0] not in links
    link = _link_to(api, path)
    url = _example_url(path, parameters)
    yield f'<section id="{operation["operationId"]}">\n<h2>GET {escape(path)}</h2>\n'
    yield f"<p>{_code(operation['summary'])}.</p>\n"
    yield _command(f"/{url}")
    yield f'<p><a href="{pages.ROOT}{escape(url)}">Try {escape(path)} in the browser</a></p>\n'
    if parameters:
        yield "<h3>Parameters</h3>\n"
        yield from _list(parameter_terms, link, links)
    yield "<h3>Responses</h3>\n"
    yield from _list(response_terms, link, links)
    if is_new_reply:
        yield from _examples(responses["200"].get("content", {}))
    yield "</section>\n"


def _link_to(api: Mapping[str, Any], path: str) -> str:
    return f'<a href="#{api["paths"][path]["get"]["operationId"]}">GET {escape(path)}</a>'


def _example_url(path: str, parameters: Iterable[Mapping[str, Any]]) -> str:
    """Return an example URL, relative to the API's root."""
    examples = {one["name"]: one["example"] for one in parameters if "example" in one}
    url = path.format_map(examples).removeprefix("/")
    if "range" in examples:
        url += f"?range={examples['range']}"
    return url


def _parameter_term(parameter: Mapping[str, Any]) -> Term:
    schema = parameter["schema"]
    notes = [parameter["in"]]
    match schema:
        case {"enum": allowed}:
            notes.append(", ".join(f"`{value}`" for value in allowed))
        case {"type": "boolean"}:
            notes.append("`true`, `false`")
        case {"type": "integer"}:
            notes.append(f"{schema['minimum']} to {schema['maximum']}")
    if "example" in parameter:
        notes.append(f"such as `{parameter['example']}`")
    if "default" in schema:
        notes.append(f"default `{str(schema['default']).lower()}`")
    return Term(parameter["name"], parameter.get("description", ""), "; ".join(notes))


def _response_term(status: str, response: Mapping[str, Any]) -> Term:
    content_types = response.get("content", {"no body": {}})
    return Term(status, response["description"], ", ".join(content_types))


def _list(terms: Iterable[Term], link: str, links: dict[Term, str]) -> Iterator[str]:
    """Yield the terms. Those that an earlier path describes are links to it."""
    described = defaultdict[str, list[str]](list)
    yield "<dl>\n"
    for term in terms:
        if term in links:
            described[links[term]].append(term.name)
            continue
        links[term] = link
        meaning = _code(term.meaning)
        yield f"<div><dt>{escape(term.name)}</dt>\n"
        yield f"<dd>{meaning}<small>{_code(term.note)}</small></dd></div>\n"
    for earlier, names in described.items():
        yield f"<div><dt>{escape(', '.join(names))}</dt>\n<dd>See {earlier}</dd></div>\n"
    yield "</dl>\n"


def _examples(content: Mapping[str, Any]) -> Iterator[str]:
    for content_type, description in content.items():
        for example in description.get("examples", {}).values():
            reply = example["value"]
            accept = f"-H 'Accept: {content_type}' "
            if content_type == "application/json":  # the default
                reply = json.dumps(reply, indent=2, ensure_ascii=False)
                accept = ""
            yield f"<h3>Example: {content_type}</h3>\n"
            yield _command(example["summary"], accept)
            yield f"<pre><code>{escape(reply, quote=False)}</code></pre>\n"


def _command(path_and_query: str, options: str = "") -> str:
    command = escape(f'curl {options}"$URL{path_and_query}"', quote=False)
    return f'<pre class="command"><code>{command}</code></pre>\n'


def _code(text: str) -> str:
    """Return the text as HTML, with backticks turned into code elements."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _resolved(api: Any, node: Mapping[str, Any]) -> Any:
    """Return the target of a node's reference, or the node itself if it has none."""
    if "$ref" not in node:
        return node
    part = api
    for key in node["$ref"].removeprefix("#/").split("/"):
        part = part[key]
    return part


if __name__ == "__main__":
    output.run(main)
