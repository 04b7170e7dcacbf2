"""Run the local PokeAPI until a signal stops it."""

import signal

from tests.tools import output
from tests.tools.options import Parser, add_address, bind
from tests.tools.pokeapi.options import add_options, bodies, service
from tests.tools.pokeapi.server import serving


def main() -> None:
    parser = Parser(prog="python -m tests.tools.pokeapi", description="A local PokeAPI.")
    add_address(parser, port=8000)
    parser.add_argument("--bodies", type=bodies, help="folder of recorded bodies, NUMBER.json.gz")
    add_options(parser)
    options = parser.parse_args()
    listening = bind(parser, options.host, options.port)
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with serving(service(options, options.bodies), listening) as port:
        print(f"PokeAPI at http://{options.host}:{port}/api/v2 (Ctrl-C stops it)", flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    output.run(main)
