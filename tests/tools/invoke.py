"""Invoke the handler as Lambda does, in this process: the reply goes to stdout, all else to stderr."""

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@dataclass(frozen=True)
class Context:
    """What the handler may ask Lambda's context for."""

    function_name: str = "PokemonNames"
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:PokemonNames"
    aws_request_id: str = "8f5a3c1e-2b7d-4e6f-9a0b-1c2d3e4f5a6b"
    seconds: float = 30.0

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


def invoke(event: Any) -> Any:
    """Give the reply, or what Lambda makes of an exception."""
    try:
        from pokemon_names import app  # noqa: PLC0415  only now, so that its logger finds the stdout it is given

        return app.handler(event, cast("LambdaContext", Context()))
    except Exception as error:  # noqa: BLE001  as Lambda does
        return {"errorType": type(error).__name__, "errorMessage": str(error)}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        reply = invoke(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8") if sys.argv[1:] else sys.stdin.read()))
    print(json.dumps(reply), flush=True)
    # As abruptly as Lambda ends an environment: one exit in a hundred, a thread of pyreqwest's lets go of something in
    # an interpreter that is already gone, and the process aborts.
    sys.stderr.flush()
    os._exit(0)
