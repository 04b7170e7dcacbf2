"""How dense the source is: tests.tools.tokens."""

from pathlib import Path

from tests.conftest import run_module
from tests.tools.tokens import Count, count

SOURCE = '''"""A docstring of
two lines."""

# A comment.
ONE = 1  # another


def add(
    number: int,
) -> int:
    """Another docstring."""
    text = """two
lines"""
    return number + len(text)
'''
ALL = Count(tokens=3 + 3 + 4 + 4 + 3 + 7, lines=7)


def test_comments_docstrings_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "source.py"
    file.write_text(SOURCE, encoding="utf-8")
    assert count(file) == ALL


def test_each_file_has_a_row_and_all_together_the_last(tmp_path: Path) -> None:
    (tmp_path / "dense.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "sparse.py").write_text("pass\n" * 5, encoding="utf-8")
    (tmp_path / "empty.py").write_text('"""Nothing."""\n', encoding="utf-8")
    printed = run_module("tests.tools.tokens", str(tmp_path)).stdout
    rows = [line.split() for line in printed.splitlines()[1:]]
    assert rows == [
        ["0.00", "0", str(tmp_path / "empty.py")],
        ["1.00", "5", str(tmp_path / "sparse.py")],
        ["3.43", "7", str(tmp_path / "dense.py")],
        ["2.42", "12", "all"],
    ]
