"""The pages for browsers, a race and the documentation: plain HTML that asks for nothing else, nor would be let."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from pokemon_names import svg
from pokemon_names.outcome import Found
from pokemon_names.report import Report, speedups
from pokemon_names.request import STRATEGIES, Request
from pokemon_names.waterfall import Lane, duration

MOST_FAILURES = 20  # that are shown
_DOCUMENTATION = Path(__file__).with_name("documentation.html")
_INTRODUCTION = "The names of the same Pokémon from PokeAPI, by each strategy in turn, none of them from a cache."
_CAPTION = "A row is a number, or several where there are many. Speed-ups are over <code>sync</code>."
_ABOUT = {
    "gather": "all at once",
    "sequential": "one after another",
    "sync": "the same, with a blocking client",
    "index": "the list of all, in one request",
}
_STYLE = (
    svg.STYLE
    + """
:root{color-scheme:light dark;--ink:#1f2328;--dim:#59636e;--paper:#fff;--line:#d1d9e0;--tint:#f6f8fa;--blue:#0a56b8;
--on-blue:#fff;--red:#b31d28}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9198a1;--paper:#0d1117;--line:#3d444d;--tint:#161b22;
--blue:#9ecbff;--on-blue:#0d1117;--red:#ff7b72}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:clamp(1.5rem,5vw,2.25rem);line-height:1.2;margin:0 0 .25rem;text-wrap:balance}
h2{font-size:1.2rem;margin:2.5rem 0 .75rem}
.dim{color:var(--dim)}p{margin:0}
form{display:flex;flex-wrap:wrap;gap:1rem 1.5rem;align-items:end;margin:1.5rem 0;padding:1rem;border-radius:.75rem;
background:var(--tint);border:1px solid var(--line)}
.field{flex:1 1 12rem}label,legend{font-size:.875rem;font-weight:600}
fieldset{border:0;margin:0;padding:0;flex:2 1 20rem}legend{padding:0}
.choices{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;min-height:2.75rem;align-items:center}
.choices label{font-weight:400;font-size:1rem;display:flex;gap:.4rem;align-items:center;min-height:1.75rem}
input[type=checkbox]{width:1.1rem;height:1.1rem;margin:0;accent-color:var(--blue)}
input[type=text],button{font:inherit;min-height:2.75rem;border-radius:.5rem;border:1px solid var(--line);width:100%;
padding:.4rem .75rem;background:var(--paper);color:var(--ink)}
[aria-invalid]{border-color:var(--red)!important}
button{width:auto;padding:.4rem 1.75rem;background:var(--blue);border-color:var(--blue);color:var(--on-blue);
font-weight:600;cursor:pointer}
:focus-visible{outline:3px solid var(--blue);outline-offset:2px}
.alert{margin:1rem 0;padding:.75rem 1rem;border-left:4px solid var(--red);background:var(--tint);
overflow-wrap:anywhere}
figure{margin:2rem 0}figcaption{font-size:.875rem;margin-top:.75rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;font-size:1.2rem;font-weight:600;padding-bottom:.5rem}
th,td{text-align:right;padding:.5rem .5rem;border-bottom:1px solid var(--line);vertical-align:top}td{white-space:nowrap}
th:first-child{text-align:left;padding-left:0}td:last-child,th:last-child{padding-right:0}thead th{font-size:.875rem}
.told{margin:1rem 0 2rem}.told td{text-align:left;white-space:normal}.told th{width:6.5rem}p+p{margin-top:.75rem}
a{color:var(--blue);overflow-wrap:anywhere}
small{display:block;font-weight:400;color:var(--dim);line-height:1.3}
.names{columns:9.5rem;column-gap:1rem;padding:0;margin:0}.names li{margin-left:3.25rem;overflow-wrap:anywhere}
.names li::marker{color:var(--dim);font-size:.875rem}
"""
)
_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def write(asked: Mapping[str, str], message: str, reports: Sequence[Report]) -> str:
    """Write the page for what was asked in a query string; with a message where something is wrong."""
    body = f"""<p class="dim">{_INTRODUCTION}</p>
{_form(asked, message, reports)}
{"".join(_results(reports))}"""
    return _document("All at once, or one after another?", body)


def documentation() -> str:
    """Write the page that describes the API, of what `make docs` has made of the description for programs."""
    return _document("The names of Pokémon, all at once", _DOCUMENTATION.read_text(encoding="utf-8"))


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


def _form(asked: Mapping[str, str], message: str, reports: Sequence[Report]) -> str:
    """Ask again, with what was given; without an action, so that a stage's or a proxy's path stays as it is."""
    alert = f'<p class="alert" id="message" role="alert">{escape(message)}</p>' if message else ""
    invalid = ' aria-invalid="true" aria-describedby="message"' if message and not reports else ""
    expression = escape(asked.get("range", Request().range))
    return f"""{alert}
<form>
<div class="field"><label for="range">Numbers</label>
<input type="text" id="range" name="range" value="{expression}" autocomplete="off" spellcheck="false"{invalid}></div>
<fieldset><legend>Strategies</legend><div class="choices">{"".join(_choices(asked))}</div></fieldset>
<button>Race</button>
</form>"""


def _choices(asked: Mapping[str, str]) -> Iterator[str]:
    chosen = [name.strip() for name in asked.get("strategies", ",".join(STRATEGIES)).split(",")]
    for strategy in STRATEGIES:
        checked = " checked" if strategy in chosen else ""
        yield f'<label><input type="checkbox" name="strategies" value="{strategy}"{checked}> {strategy}</label>'


def _results(reports: Sequence[Report]) -> Iterator[str]:
    if not reports:
        return
    ups = speedups(reports)
    yield f"<figure>\n{svg.svg(_lanes(reports, ups), _title(reports), standalone=False)}"
    yield f'\n<figcaption class="dim">{_CAPTION}</figcaption>\n</figure>\n'
    yield from _table(reports, ups)
    yield from _names(reports)
    yield from _failures(reports)


def _title(reports: Sequence[Report]) -> str:
    return f"When each request of {' and '.join(report.request.strategy for report in reports)} waited for what"


def _lanes(reports: Sequence[Report], ups: Sequence[float | None]) -> list[Lane]:
    return [
        Lane(report.request.strategy, report.fetched.exchanges, report.fetched.total_ms, speedup)
        for report, speedup in zip(reports, ups, strict=True)
    ]


def _table(reports: Sequence[Report], ups: Sequence[float | None]) -> Iterator[str]:
    yield "<table>\n<caption>Result</caption>\n<thead><tr>"
    yield "".join(f'<th scope="col">{head}</th>' for head in ("Strategy", "Time", "Speed-up", "Names"))
    yield "</tr></thead>\n<tbody>\n"
    for report, speedup in zip(reports, ups, strict=True):
        strategy, faster = report.request.strategy, "" if speedup is None else f"{speedup:.2f}x"
        names = f"{len(report.names):,} of {len(report.request.numbers):,}"
        yield f'<tr><th scope="row">{strategy}<small>{_ABOUT[strategy]}</small></th>'
        yield "".join(f"<td>{cell}</td>" for cell in (duration(report.fetched.total_ms), faster, names))
        yield "</tr>\n"
    yield "</tbody>\n</table>\n"


def _names(reports: Sequence[Report]) -> Iterator[str]:
    """Show them once: they are the same by every strategy, but for what failed."""
    found = max(reports, key=lambda report: len(report.names)).fetched.outcomes
    items = [f'<li value="{it.number}">{escape(it.name)}</li>' for it in found if isinstance(it, Found)]
    if items:
        yield f'<h2>{len(items):,} name{"s" * (len(items) > 1)}</h2>\n<ol class="names">{"".join(items)}</ol>\n'


def _failures(reports: Sequence[Report]) -> Iterator[str]:
    failures = [(report.request.strategy, failure) for report in reports for failure in report.failures]
    if not failures:
        return
    yield "<h2>Without a name</h2>\n<ul>\n"
    for strategy, failure in failures[:MOST_FAILURES]:
        detail = f"<small>{escape(failure.detail)}</small>"
        yield f"<li>{failure.number} by {strategy}: {failure.reason.replace('_', ' ')}{detail}</li>\n"
    more = len(failures) - MOST_FAILURES
    yield f"<li>and {more:,} more</li>\n</ul>\n" if more > 0 else "</ul>\n"
