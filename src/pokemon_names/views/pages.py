"""The pages for browsers: plain HTML that loads nothing.

The Content-Security-Policy allows nothing except the page's own style and form.
"""

import hashlib
import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    one_line,
    plural,
    times,
    two_digits,
)

MAX_FAILURES = 20  # on a page
ROOT = "{root}"  # a placeholder in documentation.html for the path to the API's root

_FOLDER = Path(__file__).parent
_DOCUMENTATION = _FOLDER / "documentation.html"
_STYLE = svg.STYLE + (_FOLDER / "style.css").read_text(encoding="utf-8")

_UNIT = re.compile(r"(?<=[0-9]) (?=m?s\b)")
_TITLE = "The names of Pokémon"
_QUESTION = "All at once, or one after another?"
_DESCRIPTION = "The names of a range of Pokémon from PokeAPI, all at once or one after another."
_INTRODUCTION = (
    '<p class="dim">The strategies take turns fetching the names of the same Pokémon from PokeAPI, '
    "without a cache.</p>\n"
)
_CAPTION = (
    "Each row is one number, or several if there are many. Each strategy's time starts with its "
    "own first request."
)
_SPEEDUPS = "Speed-ups compare the time per name with that of <code>sync</code>."
_POINT = (
    "<code>sequential</code> and <code>sync</code> look alike, and that is the point: "
    "<code>await</code> in a loop waits for each response before it sends the next request, just "
    "as a blocking client does. Only requests that are in flight together share the wait."
)


def _headers(style: str) -> dict[str, str]:
    """Return the headers of a page or a picture that has one style and loads nothing."""
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
        query: The caller's query, which the form repeats.
        message: What is wrong, or an empty string.
        reports: One for each strategy that raced; none for a bad request.
        root: The prefix of its links and its form, if the page is not at the API's root.
    """
    form = _form(query, message, reports, root)
    if not reports:
        return _document(_QUESTION, _DESCRIPTION, [_heading(_QUESTION), _INTRODUCTION, form])
    result, details = headline(reports)
    title = one_line(result, details)
    span_ms = longest_ms(reports)
    entries = standings(reports)
    table = _table(entries, span_ms)
    failures = _failures(reports)
    if message:
        content = [form, *failures, *table]
    else:
        picture = svg.inline(lanes_of(entries), title, "race")
        remarks = _remarks(query, reports, root)
        content = [*_figure(picture), *remarks, *table, form, *_names(reports), *failures]
    description = f"Names of Pokémon from PokeAPI: {', '.join(times(reports, span_ms))}."
    return _document(title, description, [_heading(result, details), *content])


def race_picture(reports: Sequence[Report]) -> str:
    """Return the picture of a race as a document of its own."""
    return svg.document(lanes_of(standings(reports)), *headline(reports))


def documentation(url_path: str) -> str:
    """Return the page that describes the API; `make docs` generates its template.

    Links are relative, so they also work below a stage or a base path. If the page's own path has
    no slash at the end, as in `/prod`, a browser would drop its last segment, so the links repeat
    that segment.
    """
    root = ""
    last_segment = url_path.rpartition("/")[2]
    if last_segment:
        root = f"./{escape(last_segment)}/"
    template = _DOCUMENTATION.read_text(encoding="utf-8")
    return _document(_TITLE, _DESCRIPTION, [_heading(_TITLE), template.replace(ROOT, root)])


def _document(title: str, description: str, content: Iterable[str]) -> str:
    main = "".join(content)
    title = escape(title)
    description = escape(description)
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
{main}</main>
</body>
</html>
"""


def _heading(result: str, details: str = "") -> str:
    """Return the heading of a page, in which no line breaks between a number and its unit."""
    content = _UNIT.sub("&nbsp;", escape(result))
    if details:
        small = _UNIT.sub("&nbsp;", escape(details))
        content = f'<strong>{content}<span class="hidden">: </span></strong><small>{small}</small>'
    return f"<h1>{content}</h1>\n"


def _form(query: Mapping[str, str], message: str, reports: Sequence[Report], root: str) -> str:
    """Return the form for another race.

    Without a root it has no action, so it submits to the page's own path, which may contain a stage
    or a proxy's prefix.
    """
    action = f' action="{escape(root)}race"' if root else ""
    invalid = ' aria-invalid="true" aria-describedby="message"' if message and not reports else ""
    value = escape(query.get("range", DEFAULT_RACE_RANGE))
    attributes = f'name="range" value="{value}" autocomplete="off" spellcheck="false"{invalid}'
    choices = "".join(_choices(query))
    return f"""{_alert(message)}
<form{action}>
<div class="field"><label for="range">Numbers</label>
<input type="text" id="range" {attributes}></div>
<fieldset><legend>Strategies</legend><div class="choices">{choices}</div></fieldset>
<button>Race</button>
</form>
"""


def _alert(message: str) -> str:
    if not message:
        return ""
    return f'<p class="alert" id="message" role="alert">{escape(message)}</p>'


def _choices(query: Mapping[str, str]) -> Iterator[str]:
    given = query.get("strategies", ",".join(STRATEGIES))
    chosen = [name.strip() for name in given.split(",")]
    for strategy in STRATEGIES:
        checked = " checked" if strategy in chosen else ""
        box = f'<input type="checkbox" name="strategies" value="{strategy}"{checked}>'
        yield f"<label>{box} {strategy}</label>"


def _figure(picture: str) -> Iterator[str]:
    yield f'{_INTRODUCTION}<figure id="race">\n{picture}\n'
    yield f'<figcaption class="dim">{_CAPTION}</figcaption>\n</figure>\n'


def _remarks(query: Mapping[str, str], reports: Sequence[Report], root: str) -> Iterator[str]:
    if {"sequential", "sync"} <= {report.request.strategy for report in reports}:
        yield f"<p>{_POINT}</p>\n"
    links = ", ".join(_links(query, reports[0].request.range, root))
    yield f"<p>{links}</p>\n"


def _links(query: Mapping[str, str], expression: str, root: str) -> Iterator[str]:
    names = {"range": expression}
    race = dict(names)
    if "strategies" in query:
        race["strategies"] = query["strategies"]
    links = {
        f"race.svg?{urlencode(race)}": "Another race as a picture",
        f"pokemon?{urlencode(names)}": "these names as JSON",
        "./": "how to call the API",
    }
    for path, text in links.items():
        yield f'<a href="{escape(root + path)}">{text}</a>'


def _table(entries: Sequence[Standing], span_ms: float) -> Iterator[str]:
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
        count += "<small>out of time</small>"
    return count


def _names(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the names once; all strategies return the same names, except for failures."""
    best = max(reports, key=lambda report: len(report.names))
    count = len(best.names)
    yield f'<h2>{plural(count, "name")}</h2>\n<ol class="names">'
    for result in best.fetched.results:
        if isinstance(result, Found):
            yield f'<li value="{result.number}">{escape(result.name)}</li>'
    yield "</ol>\n"


def _failures(reports: Sequence[Report]) -> Iterator[str]:
    """Yield the numbers that failed, grouped by strategy and cause."""
    groups: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    for report in reports:
        strategy = report.request.strategy
        for failure in report.failures:
            groups[strategy, failure.reason, failure.detail].append(failure.number)
    if not groups:
        return
    yield "<h2>Failed numbers</h2>\n<ul>\n"
    for (strategy, reason, detail), numbers in islice(groups.items(), MAX_FAILURES):
        words = reason.replace("_", " ")
        yield f"<li>{format_range(numbers)} with {strategy}: {words}"
        yield f"<small>{escape(detail)}</small></li>\n"
    more = len(groups) - MAX_FAILURES
    if more > 0:
        yield f"<li>and {more:,} more</li>\n"
    yield "</ul>\n"
