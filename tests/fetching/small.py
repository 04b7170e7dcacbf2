"""PokeAPI's right answers with small bodies, because generating large ones takes time."""

import json

from aiohttp import web

from tests.conftest import NAMES
from tests.tools.pokeapi import PokeAPI, answers
from tests.tools.pokeapi.answers import Answer
from tests.tools.pokeapi.bodies import list_entry, pokemon

LIST = json.dumps({"results": list(map(list_entry, pokemon().values()))})


def right(number: int) -> Answer:
    """Return the right answer for a number, or for the LIST."""
    if number == PokeAPI.LIST:
        return answers.json(LIST)
    return answers.json(json.dumps({"id": number, "name": NAMES[number]}))


def by_spelling(*, slash: Answer, no_slash: Answer) -> Answer:
    """Return an answer that depends on whether the path ends with a slash."""

    async def answer(request: web.Request) -> web.StreamResponse:
        spelled = slash if request.path.endswith("/") else no_slash
        return await spelled(request)

    return answer
