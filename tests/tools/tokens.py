"""Print how dense the source is: tokens a line of code, by Python's own tokenizer.

Comments, docstrings and blank lines count neither as tokens nor as lines.
"""

import argparse
import ast
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path("src/pokemon_names")
IGNORED = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}


class Count(NamedTuple):
    """The tokens of some code, and the lines that they stand on."""

    tokens: int
    lines: int

    @property
    def density(self) -> float:
        return self.tokens / max(1, self.lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.tokens", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=SOURCE)
    folder = parser.parse_args().folder
    counts = {str(file): count(file) for file in folder.rglob("*.py")}
    print("tokens a line  lines  file")
    for name in sorted(counts, key=lambda name: (counts[name].density, name)):
        print(_row(counts[name], name))
    print(_row(total(counts.values()), "all"))


def count(file: Path) -> Count:
    """Count the tokens and lines of code of a file."""
    text = file.read_text(encoding="utf-8")
    ignored_lines = set(_docstring_lines(ast.parse(text)))
    tokens = 0
    lines = set[int]()
    with file.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            first_line = token.start[0]
            last_line = token.end[0]
            if token.type in IGNORED or first_line in ignored_lines:
                continue
            tokens += 1
            lines.update(range(first_line, last_line + 1))
    return Count(tokens, len(lines))


def total(counts: Iterable[Count]) -> Count:
    """Add up the counts of several files."""
    tokens = 0
    lines = 0
    for one in counts:
        tokens += one.tokens
        lines += one.lines
    return Count(tokens, lines)


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            yield from range(docstring.lineno, (docstring.end_lineno or 0) + 1)


def _row(counted: Count, name: str) -> str:
    return f"{counted.density:13.2f}  {counted.lines:5}  {name}"


if __name__ == "__main__":
    main()
