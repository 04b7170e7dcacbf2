import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aws_lambda_powertools.logging import logger as powertools_logger

from tests.invoke import Context
from tests.pokeapi import PokeAPI, serving

EVENTS = Path(__file__).parent.parent / "events"

Handle = Callable[..., dict[str, Any]]


@pytest.fixture
def pokeapi() -> PokeAPI:
    return PokeAPI()


@pytest.fixture
def url(pokeapi: PokeAPI) -> Iterator[str]:
    """Where the local PokeAPI answers."""
    with serving(pokeapi) as port:
        yield f"http://127.0.0.1:{port}/api/v2"


@pytest.fixture
def load_app(url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Load the app as a new Lambda environment does, with these environment variables beside POKEAPI_URL."""

    def load(**environment: str) -> ModuleType:
        for name, value in {"POKEAPI_URL": url, **environment}.items():
            monkeypatch.setenv(name, value)
        # Powertools keeps its logger, with the stdout that it found, and its cold start as long as the process lives.
        logging.Logger.manager.loggerDict.pop(os.environ.get("POWERTOOLS_SERVICE_NAME", "pokemon-names"), None)
        monkeypatch.setattr(powertools_logger, "is_cold_start", True)
        sys.modules.pop("pokemon_names.app", None)
        return importlib.import_module("pokemon_names.app")

    return load


@pytest.fixture
def handle(load_app: Callable[..., ModuleType]) -> Handle:
    """Invoke the handler of one Lambda environment, which the first invocation starts."""
    app = cache(load_app)

    def handle(event: Any) -> dict[str, Any]:
        reply: dict[str, Any] = app().handler(event, Context())
        json.dumps(reply)  # or Lambda could not send it
        return reply

    return handle


def sample(name: str) -> dict[str, Any]:
    """Read a sample event as it lies in events/."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event
