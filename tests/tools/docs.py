"""What `make docs` does: make a page for people of the API's description for programs."""

import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import yaml

from pokemon_names import page

DESCRIPTION = Path(page.__file__).with_name("openapi.yaml")
PAGE = Path(page.__file__).with_name("documentation.html")


def main() -> None:
    PAGE.write_text(made(), encoding="utf-8")
    print(PAGE)


def made() -> str:
    """Give what belongs into the page's main part."""
    api = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    paths = (part for path in api["paths"] if path != "/" for part in _path(api, path))
    return "".join([_prose(api["info"]["description"]), *paths])


def _path(api: Mapping[str, Any], path: str) -> Iterator[str]:
    operation = api["paths"][path]["get"]
    parameters = [_resolved(api, one) for one in operation.get("parameters", [])]
    link = escape(_example(path, parameters))
    yield f'<h2>GET {escape(path)}</h2>\n<p>{escape(operation["summary"])}: <a href="{link}">{link}</a></p>\n'
    if not parameters:
        return
    yield from _table((one["name"], one.get("description", ""), _values(one)) for one in parameters)
    replies = ((status, _resolved(api, one)) for status, one in operation["responses"].items())
    yield from _table((status, one["description"], ", ".join(one.get("content", {}))) for status, one in replies)


def _example(path: str, parameters: list[Any]) -> str:
    """Give a relative link, which a stage's path does not break."""
    examples = {one["name"]: one["example"] for one in parameters if "example" in one}
    query = f"?range={examples['range']}" if "range" in examples else ""
    return path.format_map(examples).removeprefix("/") + query


def _values(parameter: Mapping[str, Any]) -> str:
    match schema := parameter["schema"]:
        case {"enum": values}:
            told = ", ".join(values)
        case {"type": "boolean"}:
            told = "true, false"
        case {"type": "integer"}:
            told = f"{schema['minimum']} to {schema['maximum']}"
        case _:
            told = f"such as {parameter['example']}" if "example" in parameter else "text"
    return f"{told}; default {str(schema['default']).lower()}" if "default" in schema else told


def _table(rows: Iterator[tuple[str, str, str]]) -> Iterator[str]:
    yield '<table class="told">\n'
    for name, meaning, values in rows:
        yield f'<tr><th scope="row">{name}</th><td>{_code(meaning)}<small>{escape(values)}</small></td></tr>\n'
    yield "</table>\n"


def _prose(text: str) -> str:
    return "".join(f"<p>{_code(' '.join(part.split()))}</p>\n" for part in text.split("\n\n"))


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _resolved(api: Any, node: Mapping[str, Any]) -> Any:
    for key in node.get("$ref", "").removeprefix("#/").split("/"):
        api = api[key] if key else node
    return api


if __name__ == "__main__":
    main()
