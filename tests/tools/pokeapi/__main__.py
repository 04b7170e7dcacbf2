"""Run the local PokeAPI until a signal stops it."""

import argparse
import signal
from pathlib import Path

from tests.tools.pokeapi.options import add_options, service
from tests.tools.pokeapi.server import serving


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.pokeapi", description="A local PokeAPI."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 for any free one")
    parser.add_argument("--bodies", type=Path, help="a folder of recorded bodies, NUMBER.json.gz")
    add_options(parser)
    options = parser.parse_args()
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with serving(service(options, options.bodies), options.host, options.port) as port:
        print(f"PokeAPI at http://{options.host}:{port}/api/v2 (Ctrl-C stops it)", flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
