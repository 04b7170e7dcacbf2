"""Race the strategies against the local PokeAPI, and write the page of the race: `make race`."""

import json
import sys
import webbrowser
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.tools.options import Parser, page_file
from tests.tools.picture import picture
from tests.tools.run import FAILED, add_options, answer, change, lane

EVENT = Path("events/http-api-race.json")
# As many as MAX_NUMBERS for each of the two slow strategies: nobody waits at a URL.
MAX_SEQUENTIAL_NUMBERS = "3000"
TITLE = "When each HTTP request waited for what, by strategy and on the same time axis"


def main() -> int:
    parser = Parser(prog="python -m tests.tools.race", description=__doc__)
    parser.add_argument(
        "file",
        metavar="TO",
        type=page_file,
        help="where to write it: a page, or where the name ends in .svg its picture",
    )
    parser.add_argument("--range", help="in place of the event's")
    parser.add_argument("--strategies", help="some of them, with commas between")
    parser.add_argument("--open", action="store_true", help="open it in a browser, too")
    add_options(parser)
    options = parser.parse_args()
    is_picture = options.file.suffix == ".svg"
    event = json.loads(EVENT.read_text(encoding="utf-8"))
    change(event, {"range": options.range, "strategies": options.strategies, "trace": "true"})
    event["headers"]["accept"] = "application/json" if is_picture else "text/html"
    reply = answer(event, options, MAX_SEQUENTIAL_NUMBERS=MAX_SEQUENTIAL_NUMBERS)
    if "errorType" in reply:
        print(f"{reply['errorType']}: {reply['errorMessage']}")
        return FAILED
    is_ok = reply["statusCode"] == HTTPStatus.OK
    if is_picture and not is_ok:
        print(json.loads(reply["body"])["detail"])
        return FAILED
    text = _picture(reply) if is_picture else reply["body"]
    options.file.write_text(text, encoding="utf-8")
    print(options.file.resolve())
    if options.open:
        webbrowser.open(options.file.resolve().as_uri())
    return 0 if is_ok else FAILED


def _picture(reply: Mapping[str, Any]) -> str:
    lanes = [lane(entry) for entry in json.loads(reply["body"])["race"]]
    return picture(lanes, TITLE)


if __name__ == "__main__":
    sys.exit(main())
