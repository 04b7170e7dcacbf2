"""The pages for browsers: plain HTML that loads nothing.

The Content-Security-Policy allows nothing except the page's own style and form, and its icon, which
is a data: URL because browsers would otherwise request one.
"""

import hashlib
import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urlencode

from pokemon_names.model import DEFAULT_RACE_RANGE, DEFAULT_RANGE, STRATEGIES, Found
from pokemon_names.ranges import format_range
from pokemon_names.report import Report, standings
from pokemon_names.views import svg
from pokemon_names.views.waterfall import lanes_of
from pokemon_names.views.words import MORAL, headline, longest_ms, one_line, plural, times

MAX_FAILURES = 20  # on a page
ROOT = "{root}"  # a placeholder in documentation.html for the path to the API's root

_FOLDER = Path(__file__).parent
_DOCUMENTATION = _FOLDER / "documentation.html"
_STYLE = svg.STYLE + (_FOLDER / "style.css").read_text(encoding="utf-8")

# A short bar above two long ones.
_ICON = "data:image/svg+xml," + quote(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<path fill="#74b9f5" d="M1 7h14v3H1zm0 5h14v3H1z"/>'
    '<path fill="#0a56b8" d="M1 1h4v4H1z"/></svg>'
)

_UNIT = re.compile(r"(?<=[0-9]) (?=m?s\b)")
_TITLE = "The names of Pokémon"
_QUESTION = "All at once, or one after another?"
_DESCRIPTION = "The names of a range of Pokémon from PokeAPI, all at once or one after another."
_INTRODUCTION = "All strategies take turns fetching the same names from PokeAPI, without a cache."
_ROWS = "The strategies take turns, without a cache. Each row is one number, or several."
_LIKENESS = (
    "<code>sequential</code> and <code>sync</code> look alike, and that is the point: "
    "<code>await</code> in a loop waits for each response before it sends the next request, just "
    "as a blocking client does."
)


def _headers(style: str, images: str = "") -> dict[str, str]:
    """Return the headers of a page or a picture that has one style and loads nothing else."""
    digest = hashlib.sha256(style.encode()).digest()
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{b64encode(digest).decode()}'; {images}"
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
    }


HEADERS = _headers(_STYLE, "img-src data:; ")
PICTURE_HEADERS = _headers(svg.DOCUMENT_STYLE)


def race(
    query: Mapping[str, str],
    message: str,
    reports: Sequence[Report],
    root: str = "",
    hint: str = "",
) -> str:
    """Return the page of a race.

    Args:
        query: The caller's query, which the form repeats.
        message: What is wrong, or an empty string.
        reports: One for each strategy that raced; none for a bad request.
        root: The prefix of its links and its form, if the page is not at the API's root.
        hint: How many numbers may race.
    """
    invalid = message and not reports
    field = _field(query.get("range", DEFAULT_RACE_RANGE), hint, is_invalid=bool(invalid))
    fields = f"{field}{_strategies(query)}\n<button>Race</button>"
    form = f"{_alert(message)}{_form(fields, f'{root}race' if root else '')}"
    if not reports:
        introduction = f'<p class="dim">{_INTRODUCTION}</p>\n'
        return _document(_QUESTION, _DESCRIPTION, [_heading(_QUESTION), introduction, form])
    result, details = headline(reports)
    title = one_line(result, details)
    content = [_heading(result, details), form]
    if not message:
        content += [*_figure(reports, title), _links(query, reports[0].request.range, root)]
    content += _failures(reports)
    if not message:
        content += _names(reports)
    summary = ", ".join(times(reports, longest_ms(reports)))
    return _document(title, f"Names of Pokémon from PokeAPI: {summary}.", content)


def bad_names_request(query: Mapping[str, str], message: str, root: str, hint: str) -> str:
    """Return the page of a bad request for names: what is wrong, and a form to correct it.

    The arguments are those of `race`.
    """
    field = _field(query.get("range", DEFAULT_RANGE), hint, is_invalid=True)
    form = _form(f"{field}<button>Get the names as JSON</button>", f"{root}pokemon")
    links = f'<p><a href="{escape(root)}./">How to call the API</a></p>\n'
    return _document(_TITLE, _DESCRIPTION, [_heading(_TITLE), _alert(message), form, links])


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
<link rel="icon" href="{_ICON}">
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


def _form(fields: str, path: str) -> str:
    """Return a form that submits to a path.

    Without one it submits to the page's own path, which may contain a stage or a proxy's prefix.
    """
    action = f' action="{escape(path)}"' if path else ""
    return f"<form{action}>\n{fields}\n</form>\n"


def _field(value: str, hint: str, *, is_invalid: bool) -> str:
    """Return the field for the numbers, with the hint under it."""
    described = ' aria-describedby="hint"'
    if is_invalid:
        described = ' aria-invalid="true" aria-describedby="message hint"'
    attributes = f'name="range" value="{escape(value)}" autocomplete="off" spellcheck="false"'
    return f"""<div class="field"><label for="range">Numbers</label>
<input type="text" id="range" {attributes}{described}></div>
<small id="hint">{escape(hint)}</small>
"""


def _alert(message: str) -> str:
    if not message:
        return ""
    return f'<p class="alert" id="message" role="alert">{escape(message)}</p>\n'


def _strategies(query: Mapping[str, str]) -> str:
    given = query.get("strategies", ",".join(STRATEGIES))
    chosen = [name.strip() for name in given.split(",")]
    choices = ""
    for strategy in STRATEGIES:
        checked = " checked" if strategy in chosen else ""
        box = f'<input type="checkbox" name="strategies" value="{strategy}"{checked}>'
        choices += f"<label>{box} {strategy}</label>"
    return f'<fieldset><legend>Strategies</legend><div class="choices">{choices}</div></fieldset>'


def _figure(reports: Sequence[Report], title: str) -> Iterator[str]:
    """Yield the picture, with the moral as its caption."""
    picture = svg.inline(lanes_of(standings(reports)), title, "race")
    yield f'<figure id="race">\n{picture}\n<figcaption>\n<p class="moral">{MORAL}</p>\n'
    if {"sequential", "sync"} <= {report.request.strategy for report in reports}:
        yield f"<p>{_LIKENESS}</p>\n"
    yield f'<p class="dim">{_ROWS}</p>\n</figcaption>\n</figure>\n'


def _links(query: Mapping[str, str], expression: str, root: str) -> str:
    names = {"range": expression}
    race = dict(names)
    if "strategies" in query:
        race["strategies"] = query["strategies"]
    targets = {
        f"race.svg?{urlencode(race)}": "Another race as a picture",
        f"pokemon?{urlencode(names)}": "these names as JSON",
        "./": "how to call the API",
    }
    links = [f'<a href="{escape(root + path)}">{text}</a>' for path, text in targets.items()]
    return f"<p>{', '.join(links)}</p>\n"


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
    """Yield the numbers that failed, grouped by cause and by the strategies that have it."""
    groups = _grouped(reports)
    if not groups:
        return
    yield "<h2>Failed numbers</h2>\n<ul>\n"
    for (reason, detail, strategies), numbers in islice(groups.items(), MAX_FAILURES):
        words = f"{format_range(numbers)}: {reason.replace('_', ' ')}"
        if len(strategies) < len(reports):
            words += f" with {', '.join(strategies)}"
        yield f"<li>{words}<small>{escape(detail)}</small></li>\n"
    more = len(groups) - MAX_FAILURES
    if more > 0:
        yield f"<li>and {more:,} more</li>\n"
    yield "</ul>\n"


def _grouped(reports: Sequence[Report]) -> Mapping[tuple[str, str, tuple[str, ...]], list[int]]:
    """Return the failed numbers by reason, detail and strategies, so each cause is told once."""
    strategies: defaultdict[tuple[int, str, str], list[str]] = defaultdict(list)
    for report in reports:
        for failure in report.failures:
            cause = failure.number, failure.reason, failure.detail
            strategies[cause].append(report.request.strategy)
    groups: defaultdict[tuple[str, str, tuple[str, ...]], list[int]] = defaultdict(list)
    for (number, reason, detail), names in strategies.items():
        groups[reason, detail, tuple(names)].append(number)
    return groups
