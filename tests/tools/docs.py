"""Make a page for people from the API's description for programs: `make docs`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import yaml

from pokemon_names.views import pages

DESCRIPTION = Path(pages.__file__).with_name("openapi.yaml")
PAGE = Path(pages.__file__).with_name("documentation.html")

Row = tuple[str, str, str]


def main() -> None:
    PAGE.write_text(made(), encoding="utf-8")
    print(PAGE)


def made() -> str:
    """Return the content of the page's main part."""
    api = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    parts = [_prose(api["info"]["description"])]
    for path in api["paths"]:
        if path != "/":
            parts.extend(_path(api, path))
    return "".join(parts)


def _path(api: Mapping[str, Any], path: str) -> Iterator[str]:
    operation = api["paths"][path]["get"]
    parameters = [_resolved(api, one) for one in operation.get("parameters", [])]
    link = escape(_example(path, parameters))
    yield f"<h2>GET {escape(path)}</h2>\n"
    yield f'<p>{escape(operation["summary"])}: <a href="{link}">{link}</a></p>\n'
    if parameters:
        yield from _table(map(_parameter_row, parameters))
        responses = operation["responses"].items()
        yield from _table(_response_row(status, _resolved(api, one)) for status, one in responses)


def _example(path: str, parameters: list[Any]) -> str:
    """Return a relative link, which also works behind a stage's path."""
    examples = {one["name"]: one["example"] for one in parameters if "example" in one}
    link = path.format_map(examples).removeprefix("/")
    if "range" in examples:
        link += f"?range={examples['range']}"
    return link


def _parameter_row(parameter: Mapping[str, Any]) -> Row:
    return parameter["name"], parameter.get("description", ""), _values(parameter)


def _response_row(status: str, response: Mapping[str, Any]) -> Row:
    return status, response["description"], ", ".join(response.get("content", {}))


def _values(parameter: Mapping[str, Any]) -> str:
    schema = parameter["schema"]
    match schema:
        case {"enum": allowed}:
            values = ", ".join(allowed)
        case {"type": "boolean"}:
            values = "true, false"
        case {"type": "integer"}:
            values = f"{schema['minimum']} to {schema['maximum']}"
        case _ if "example" in parameter:
            values = f"such as {parameter['example']}"
        case _:
            values = "text"
    if "default" in schema:
        values += f"; default {str(schema['default']).lower()}"
    return values


def _table(rows: Iterable[Row]) -> Iterator[str]:
    yield '<table class="described">\n'
    for name, meaning, values in rows:
        yield f'<tr><th scope="row">{name}</th>'
        yield f"<td>{_code(meaning)}<small>{escape(values)}</small></td></tr>\n"
    yield "</table>\n"


def _prose(text: str) -> str:
    return "".join(f"<p>{_code(' '.join(part.split()))}</p>\n" for part in text.split("\n\n"))


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _resolved(api: Any, node: Mapping[str, Any]) -> Any:
    """Return the part of the API that a node refers to, or the node itself."""
    if "$ref" not in node:
        return node
    part = api
    for key in node["$ref"].removeprefix("#/").split("/"):
        part = part[key]
    return part


if __name__ == "__main__":
    main()
