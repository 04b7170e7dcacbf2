"""Race the strategies against the local PokeAPI, print the result and write it: `make race`."""

import json
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pokemon_names.model import STRATEGIES
from pokemon_names.views import pages
from tests.tools import output
from tests.tools.function import Invoke, add_options, change, running
from tests.tools.options import Mistake, Parser, page_file
from tests.tools.output import columns, show, wrap
from tests.tools.reply import Reply
from tests.tools.run import FAILED, print_race

EVENT = Path("events/http-api-race.json")
# The slow strategies take as many numbers as the others, because no client of the API waits here.
MAX_SEQUENTIAL_NUMBERS = "1500"
SERVER = "http://127.0.0.1:3000/"  # of `make serve`


def main() -> int:
    parser = Parser(prog="python -m tests.tools.race", description=__doc__)
    parser.add_argument("file", metavar="TO", type=page_file, help="the file to write")
    parser.add_argument("--range", help="overrides the event's")
    parser.add_argument("--strategies", type=strategies, help="some of them, separated by commas")
    parser.add_argument("--open", action="store_true", help="also open it in a browser")
    add_options(parser)
    options = parser.parse_args()
    event = json.loads(EVENT.read_text(encoding="utf-8"))
    change(event, {"range": options.range, "trace": "true"})
    with running(options, MAX_SEQUENTIAL_NUMBERS=MAX_SEQUENTIAL_NUMBERS) as invoke:
        replies = list(race(event, options.strategies or STRATEGIES, invoke))
    reports = [report for reply in replies for report in reply.reports()]
    if all(reply.is_failure for reply in replies):
        show([replies[0].error])
        if options.live:
            show(replies[0].hints())
        return FAILED
    query = event["queryStringParameters"]
    if options.file.suffix == ".svg":
        written = pages.race_picture(reports)
    else:
        written = pages.race(query, "", reports, SERVER)
    options.file.write_text(written, encoding="utf-8")
    print_race(reports)
    show(["", f"Written to {options.file}"])
    if options.open and not webbrowser.open(options.file.resolve().as_uri()):
        show(["OPEN: no browser could be started here"])
    return 0


def strategies(text: str) -> list[str]:
    """Return the strategies that are named, in the tutorial's order."""
    names = {name.strip() for name in text.split(",")}
    if not names <= set(STRATEGIES):
        raise Mistake(text, f"some of {', '.join(STRATEGIES)}, separated by commas")
    return [strategy for strategy in STRATEGIES if strategy in names]


def race(event: dict[str, Any], strategies: Sequence[str], invoke: Invoke) -> Iterator[Reply]:
    """Yield the reply for each strategy, until the event turns out to be bad."""
    for strategy in strategies:
        query = event["queryStringParameters"]
        title = f"Racing {strategy} for {query['range']} (at most 27 s) ..."
        print("\n".join(wrap(title, columns())), file=sys.stderr)
        reply = Reply(invoke({**event, "queryStringParameters": {**query, "strategies": strategy}}))
        yield reply
        if not reply.reports():
            return


if __name__ == "__main__":
    output.run(main)
