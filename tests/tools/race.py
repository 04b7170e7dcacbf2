"""Race the strategies against the local PokeAPI, print the result and write it: `make race`."""

import json
import sys
import webbrowser
from pathlib import Path

from pokemon_names.views import pages
from tests.tools.function import add_options, answer, change
from tests.tools.options import Parser, page_file
from tests.tools.reply import Reply
from tests.tools.run import FAILED, prepare_output, race_text

EVENT = Path("events/http-api-race.json")
# MAX_NUMBERS for each of the two slow strategies; no client of the API waits for them here.
MAX_SEQUENTIAL_NUMBERS = "3000"
SERVER = "http://127.0.0.1:3000/"  # of `make serve`


def main() -> int:
    parser = Parser(prog="python -m tests.tools.race", description=__doc__)
    parser.add_argument("file", metavar="TO", type=page_file, help="the file to write")
    parser.add_argument("--range", help="overrides the event's")
    parser.add_argument("--strategies", help="some of them, separated by commas")
    parser.add_argument("--open", action="store_true", help="also open it in a browser")
    add_options(parser)
    options = parser.parse_args()
    event = json.loads(EVENT.read_text(encoding="utf-8"))
    change(event, {"range": options.range, "strategies": options.strategies, "trace": "true"})
    query = event["queryStringParameters"]
    strategies = query.get("strategies", "all strategies")
    print(f"Racing {strategies} for {query['range']} (at most 27 s) ...", file=sys.stderr)
    reply = Reply(answer(event, options, MAX_SEQUENTIAL_NUMBERS=MAX_SEQUENTIAL_NUMBERS))
    prepare_output()
    if reply.is_failure:
        print(reply.error)
        if options.live:
            print("\n".join(reply.hints()))
        return FAILED
    reports = reply.reports()
    if options.file.suffix == ".svg":
        written = pages.race_picture(reports)
    else:
        written = pages.race(query, "", reports, SERVER)
    options.file.write_text(written, encoding="utf-8")
    print("\n".join(race_text(reports)))
    print(f"\nWritten to {options.file}")
    if options.open and not webbrowser.open(options.file.resolve().as_uri()):
        print("OPEN: no browser could be started here")
    return 0


if __name__ == "__main__":
    sys.exit(main())
