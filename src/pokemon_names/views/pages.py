"""The pages for browsers: plain HTML that loads nothing else, and whose policy allows nothing."""

import hashlib
import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

from pokemon_names.model import DEFAULT_RACE_RANGE, STRATEGIES, Found
from pokemon_names.ranges import format_range
from pokemon_names.report import Report, Standing, standings
from pokemon_names.views import svg
from pokemon_names.views.waterfall import lanes_of
from pokemon_names.views.words import (
    ABOUT,
    format_duration,
    headline,
    longest_ms,
    plural,
    times,
    two_digits,
)

MAX_FAILURES = 20  # that are shown

_FOLDER = Path(__file__).parent
_DOCUMENTATION = _FOLDER / "documentation.html"
_STYLE = svg.STYLE + (_FOLDER / "style.css").read_text(encoding="utf-8")

_UNIT = re.compile(r"(?<=[0-9]) (?=m?s\b)")
_QUESTION = "All at once, or one after another?"
_DESCRIPTION = "The names of a range of Pokémon from PokeAPI, all at once or one after another."
_INTRODUCTION = (
    "The names of the same Pokémon from PokeAPI, by one strategy after another, none of them from "
    "a cache."
)
_CAPTION = (
    "A row is a number, or several where there are many. The time of a strategy begins with its "
    "own first request."
)
_SPEEDUPS = "Speed-ups are over <code>sync</code>, by the time that each name took."
_POINT = (
    "<code>sequential</code> and <code>sync</code> look alike, and that is the point: "
    "<code>await</code> in a loop waits for each response before it sends the next request, just "
    "as a blocking client does. Only requests that are in flight together share the wait."
)


def _headers(style: str) -> dict[str, str]:
    """Return the headers of a page or a picture with its own style, and with nothing else."""
    digest = hashlib.sha256(style.encode()).digest()
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{b64encode(digest).decode()}'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
    }


HEADERS = _headers(_STYLE)
PICTURE_HEADERS = _headers(svg.DOCUMENT_STYLE)


def race(query: Mapping[str, str], message: str, reports: Sequence[Report], root: str = "") -> str:
    """Return the page of a race.

    Args:
        query: What the caller asked for; the form shows it again.
        message: What is wrong, or nothing.
        reports: One of each strategy that raced, none for a bad request.
        root: What its links and its form begin with, where the page is not at the API's root.
    """
    form = _form(query, message, reports, root)
    if not reports:
        return _document(_QUESTION, _DESCRIPTION, f'<p class="dim">{_INTRODUCTION}</p>\n{form}\n')
    table = "".join(_table(reports))
    failures = "".join(_failures(reports))
    if message:
        body = f"{form}\n{failures}{table}"
    else:
        picture = "".join(_picture(query, reports, root))
        names = "".join(_names(reports))
        body = f"{picture}{table}{form}\n{names}{failures}"
    description = f"Names of Pokémon from PokeAPI: {', '.join(times(reports))}."
    return _document(headline(reports), description, body)


def race_picture(reports: Sequence[Report]) -> str:
    """Return the picture of a race, as a document of its own."""
    return svg.document(lanes_of(reports), headline(reports))


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
    return _document("The names of Pokémon", _DESCRIPTION, body)


def _document(title: str, description: str, body: str) -> str:
    title = escape(title)
    description = escape(description)
    heading = _UNIT.sub("&nbsp;", title)
    result, colon, details = heading.partition(": ")
    if colon:
        result = f'<strong>{result}<span class="hidden">: </span></strong>'
        heading = f"{result}<small>{details}</small>"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title>
<meta name="description" content="{description}">
<meta property="og:title" content="{title}">
<meta property="og:description" content="{description}">
<meta property="og:type" content="website">
<meta property="og:site_name" content="pokemon-names">
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{heading}</h1>
{body}</main>
</body>
</html>
"""


def _form(query: Mapping[str, str], message: str, reports: Sequence[Report], root: str) -> str:
    """Return the form for another race.

    Without a root it has no action, so that the path of a stage or a proxy stays as it is.
    """
    action = ""
    if root:
        action = f' action="{escape(root)}race"'
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
<form{action}>
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


def _picture(query: Mapping[str, str], reports: Sequence[Report], root: str) -> Iterator[str]:
    picture = svg.inline(lanes_of(reports), headline(reports), "race")
    links = ", ".join(_links(query, reports[0].request.range, root))
    yield f'<p class="dim">{_INTRODUCTION}</p>\n<figure id="race">\n{picture}\n'
    yield f'<figcaption class="dim">{_CAPTION}</figcaption>\n</figure>\n'
    if {"sequential", "sync"} <= {report.request.strategy for report in reports}:
        yield f"<p>{_POINT}</p>\n"
    yield f"<p>{links}</p>\n"


def _links(query: Mapping[str, str], expression: str, root: str) -> Iterator[str]:
    names = {"range": expression}
    race = dict(names)
    if "strategies" in query:
        race["strategies"] = query["strategies"]
    links = {
        f"race.svg?{urlencode(race)}": "Another race, as a picture",
        f"pokemon?{urlencode(names)}": "these names as JSON",
        "./": "how to call the API",
    }
    for path, text in links.items():
        yield f'<a href="{escape(root + path)}">{text}</a>'


def _table(reports: Sequence[Report]) -> Iterator[str]:
    entries = standings(reports)
    heads = ["Strategy", "Time", "Names"]
    caption = "Result"
    has_speedups = any(entry.speedup for entry in entries)
    if has_speedups:
        heads.insert(2, "Speed-up")
        caption += f"<small>{_SPEEDUPS}</small>"
    yield f"<table>\n<caption>{caption}</caption>\n<thead><tr>"
    for head in heads:
        yield f'<th scope="col">{head}</th>'
    yield "</tr></thead>\n<tbody>\n"
    span_ms = longest_ms(reports)
    for entry in entries:
        strategy = entry.report.request.strategy
        duration = format_duration(entry.report.fetched.total_ms, span_ms)
        yield f'<tr><th scope="row">{strategy}<small>{ABOUT[strategy]}</small></th>'
        yield f"<td>{duration}</td>"
        if has_speedups:
            yield f"<td>{_speedup(entry)}</td>"
        yield f"<td>{_count(entry.report)}</td></tr>\n"
    yield "</tbody>\n</table>\n"


def _speedup(entry: Standing) -> str:
    if entry.speedup is None:
        return "none"
    text = f"{two_digits(entry.speedup)}x"
    if entry.is_lower_bound:
        return f"{text}<small>at least</small>"
    return text


def _count(report: Report) -> str:
    count = f"{len(report.names):,}"
    if report.failures:
        count += f" of {len(report.request.numbers):,}"
    if report.cut_off:
        count += "<small>time was up</small>"
    return count


def _names(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the names once: they are the same by every strategy, but for what failed."""
    best = max(reports, key=lambda report: len(report.names))
    count = len(best.names)
    yield f'<h2>{plural(count, "name")}</h2>\n<ol class="names">'
    for result in best.fetched.results:
        if isinstance(result, Found):
            yield f'<li value="{result.number}">{escape(result.name)}</li>'
    yield "</ol>\n"


def _failures(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the numbers without a name: those that failed alike are together."""
    alike: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    for report in reports:
        strategy = report.request.strategy
        for failure in report.failures:
            alike[strategy, failure.reason, failure.detail].append(failure.number)
    if not alike:
        return
    yield "<h2>Without a name</h2>\n<ul>\n"
    for (strategy, reason, detail), numbers in islice(alike.items(), MAX_FAILURES):
        words = reason.replace("_", " ")
        yield f"<li>{format_range(numbers)} by {strategy}: {words}"
        yield f"<small>{escape(detail)}</small></li>\n"
    more = len(alike) - MAX_FAILURES
    if more > 0:
        yield f"<li>and {more:,} more</li>\n"
    yield "</ul>\n"
