"""Invoke the handler in this process, as one Lambda environment does.

Each line of stdin is an event, and each line of stdout its reply. Everything else goes to stderr.
"""

import contextlib
import json
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, cast

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def _timeout() -> float:
    return float(os.environ.get("AWS_LAMBDA_FUNCTION_TIMEOUT", "30"))  # set by `sam local`


@dataclass(frozen=True)
class Context:
    """The part of Lambda's context that the function may use."""

    function_name: str = "PokemonNames"
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:PokemonNames"
    aws_request_id: str = "8f5a3c1e-2b7d-4e6f-9a0b-1c2d3e4f5a6b"
    seconds: float = field(default_factory=_timeout)

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


def invoke(event: Any) -> Any:
    """Return the reply, or the error that Lambda turns an exception into."""
    try:
        # Imported late, because its logger uses the stdout that it finds at import.
        from pokemon_names import app  # noqa: PLC0415

        return app.handler(event, cast("LambdaContext", Context()))
    except Exception as error:  # noqa: BLE001  as Lambda does
        return {"errorType": type(error).__name__, "errorMessage": str(error)}


def leave(status: int = 0) -> NoReturn:
    """End this process as abruptly as a Lambda environment ends.

    One in a hundred ordinary exits aborts, because a thread of pyreqwest releases an object after
    the interpreter has ended.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    replies = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            reply = invoke(json.loads(line))
            print(json.dumps(reply), file=replies, flush=True)
    leave()
