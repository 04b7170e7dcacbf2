"""Run the local PokeAPI until it is told to stop."""

import argparse
import signal
from pathlib import Path

from tests.tools.pokeapi.faults import FAULTS, Faults
from tests.tools.pokeapi.server import PokeAPI, serving
from tests.tools.pokeapi.weather import WEATHER, Weather


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.pokeapi", description="A local PokeAPI.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 for any free one")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--bodies", type=Path, help="a folder of recorded bodies, NUMBER.json.gz")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=RATE", help=", ".join(FAULTS))
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--weather", action="append", default=[], metavar="NAME=VALUE", help=", ".join(WEATHER))
    options = parser.parse_args()
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    faults, weather = Faults.read(options.fault, options.seed), Weather.read(options.weather)
    service = PokeAPI(options.bodies, options.delay, faults, weather)
    with serving(service, options.host, options.port) as port:
        print(f"PokeAPI at http://{options.host}:{port}/api/v2 (Ctrl-C stops it)", flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
