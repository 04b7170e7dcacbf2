"""The pages for browsers: plain HTML that loads nothing else, and whose policy allows nothing."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from pokemon_names.model import DEFAULT_RACE_RANGE, STRATEGIES, Found
from pokemon_names.report import Report, speedups
from pokemon_names.views.svg import svg
from pokemon_names.views.waterfall import Lane, format_duration

MAX_FAILURES = 20  # that are shown

_FOLDER = Path(__file__).parent
_DOCUMENTATION = _FOLDER / "documentation.html"
_STYLES = [_FOLDER / "waterfall.css", _FOLDER / "style.css"]
_STYLE = "".join(path.read_text(encoding="utf-8") for path in _STYLES)
_STYLE_DIGEST = hashlib.sha256(_STYLE.encode()).digest()
_STYLE_HASH = b64encode(_STYLE_DIGEST).decode()

_INTRODUCTION = (
    "The names of the same Pokémon from PokeAPI, by one strategy after another, none of them from "
    "a cache."
)
_CAPTION = (
    "A row is a number, or several where there are many. Speed-ups are over <code>sync</code>."
)
_ABOUT = {
    "gather": "all at once",
    "sequential": "one after another",
    "sync": "the same, with a blocking client",
    "index": "the list of all, in one request",
}

HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def race(query: Mapping[str, str], message: str, reports: Sequence[Report]) -> str:
    """Return the page of a race.

    Args:
        query: What the caller asked for; the form shows it again.
        message: What is wrong, or nothing.
        reports: One of each strategy that raced, none for a bad request.
    """
    form = _form(query, message, reports)
    results = "".join(_results(reports))
    body = f'<p class="dim">{_INTRODUCTION}</p>\n{form}\n{results}'
    return _document("All at once, or one after another?", body)


def documentation(url_path: str) -> str:
    """Return the page that describes the API; `make docs` makes it of openapi.yaml.

    Its links are relative, so that a stage or a base path stays before them. Without a slash at the
    end of the page's path, as in `/prod`, they begin with its last segment. Links within the page
    stay as they are.
    """
    body = _DOCUMENTATION.read_text(encoding="utf-8")
    last_segment = escape(url_path.rpartition("/")[2])
    if last_segment:
        prefix = f'href="./{last_segment}/'
        body = body.replace('href="', prefix).replace(f"{prefix}#", 'href="#')
    return _document("The names of Pokémon", body)


def _document(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}</main>
</body>
</html>
"""


def _form(query: Mapping[str, str], message: str, reports: Sequence[Report]) -> str:
    """Return the form for another race.

    It has no action, so that the path of a stage or a proxy stays as it is.
    """
    alert = ""
    invalid = ""
    if message:
        alert = f'<p class="alert" id="message" role="alert">{escape(message)}</p>'
        if not reports:
            invalid = ' aria-invalid="true" aria-describedby="message"'
    value = escape(query.get("range", DEFAULT_RACE_RANGE))
    attributes = f'name="range" value="{value}" autocomplete="off" spellcheck="false"{invalid}'
    choices = "".join(_choices(query))
    return f"""{alert}
<form>
<div class="field"><label for="range">Numbers</label>
<input type="text" id="range" {attributes}></div>
<fieldset><legend>Strategies</legend><div class="choices">{choices}</div></fieldset>
<button>Race</button>
</form>"""


def _choices(query: Mapping[str, str]) -> Iterator[str]:
    given = query.get("strategies", ",".join(STRATEGIES))
    chosen = [name.strip() for name in given.split(",")]
    for strategy in STRATEGIES:
        checked = " checked" if strategy in chosen else ""
        box = f'<input type="checkbox" name="strategies" value="{strategy}"{checked}>'
        yield f"<label>{box} {strategy}</label>"


def _results(reports: Sequence[Report]) -> Iterator[str]:
    if not reports:
        return
    strategies = " and ".join(report.request.strategy for report in reports)
    title = f"When each request of {strategies} waited for what"
    yield f"<figure>\n{svg(_lanes(reports), title)}"
    yield f'\n<figcaption class="dim">{_CAPTION}</figcaption>\n</figure>\n'
    yield from _table(reports)
    yield from _names(reports)
    yield from _failures(reports)


def _lanes(reports: Sequence[Report]) -> list[Lane]:
    lanes = []
    for report, speedup in zip(reports, speedups(reports), strict=True):
        fetched = report.fetched
        lane = Lane(report.request.strategy, fetched.attempts, fetched.total_ms, speedup)
        lanes.append(lane)
    return lanes


def _table(reports: Sequence[Report]) -> Iterator[str]:
    yield "<table>\n<caption>Result</caption>\n<thead><tr>"
    for head in ("Strategy", "Time", "Speed-up", "Names"):
        yield f'<th scope="col">{head}</th>'
    yield "</tr></thead>\n<tbody>\n"
    for report, speedup in zip(reports, speedups(reports), strict=True):
        strategy = report.request.strategy
        duration = format_duration(report.fetched.total_ms)
        faster = ""
        if speedup is not None:
            faster = f"{speedup:.2f}x"
        names = len(report.names)
        numbers = len(report.request.numbers)
        yield f'<tr><th scope="row">{strategy}<small>{_ABOUT[strategy]}</small></th>'
        yield f"<td>{duration}</td><td>{faster}</td><td>{names:,} of {numbers:,}</td></tr>\n"
    yield "</tbody>\n</table>\n"


def _names(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the names once: they are the same by every strategy, but for what failed."""
    best = max(reports, key=lambda report: len(report.names))
    if not best.names:
        return
    count = len(best.names)
    noun = "name" if count == 1 else "names"
    yield f'<h2>{count:,} {noun}</h2>\n<ol class="names">'
    for result in best.fetched.results:
        if isinstance(result, Found):
            yield f'<li value="{result.number}">{escape(result.name)}</li>'
    yield "</ol>\n"


def _failures(reports: Sequence[Report]) -> Iterator[str]:
    items = []
    for report in reports:
        strategy = report.request.strategy
        for failure in report.failures:
            reason = failure.reason.replace("_", " ")
            detail = f"<small>{escape(failure.detail)}</small>"
            items.append(f"<li>{failure.number} by {strategy}: {reason}{detail}</li>\n")
    if not items:
        return
    yield "<h2>Without a name</h2>\n<ul>\n"
    yield from items[:MAX_FAILURES]
    more = len(items) - MAX_FAILURES
    if more > 0:
        yield f"<li>and {more:,} more</li>\n"
    yield "</ul>\n"
