"""Copy the project under another name, to start a project of your own: `make new`.

Only the project's name changes, in each of its spellings, so the new project fetches names of
Pokémon until you change its code. CHANGELOG.md and the version start again. LICENSE keeps its
copyright notice, as the licence requires.
"""

import keyword
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path

from pokemon_names import __version__
from tests.tools import output
from tests.tools.options import Mistake, Parser

ROOT = Path(__file__).parents[2]
OWN: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_LENGTH = 30  # with a longer name, some lines of the code would be too long
FIRST_VERSION = "0.1.0"
DEPLOYED = {"src", "template.yaml"}  # in which the new name must not have another meaning yet
UNCHANGED = {Path("LICENSE")}
GITS_VARIABLES = {"GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"}  # in a hook, they name its clone
HISTORY = (
    ("git", "init", "--initial-branch=main"),
    ("git", "add", "--all", "--force"),  # even what this machine tells git to ignore everywhere
    ("git", "commit", "-m", f"Begin as a copy of {OWN}"),
)


def main() -> None:
    parser = Parser(prog="python -m tests.tools.new", description=__doc__)
    parser.add_argument("--name", type=project_name, required=True, help="name of the new project")
    parser.add_argument("--to", type=new_folder, required=True, help="its folder")
    options = parser.parse_args()
    if "-" not in OWN:
        parser.error(
            f"NAME: {OWN} cannot be replaced, because stack and package share its spelling"
        )
    try:
        copy(options.name, options.to)
    except OSError as error:
        mistake = Mistake(options.to, f"a folder that can be written ({error})")
        parser.error(f"TO: {mistake}")
    tidy(options.to)
    problem = begin_history(options.to)
    folder = shlex.quote(min(str(options.to), os.path.relpath(options.to), key=len))
    print(f"{options.name} is in {folder}. Next: cd {folder} && make run")
    if problem:
        print(f"It has no commit ({problem}). Run there: {' && '.join(map(shlex.join, HISTORY))}")


def project_name(text: str) -> str:
    """Return a name that is valid in all its spellings, and that nothing else has."""
    if not NAME.fullmatch(text) or len(text) > MAX_LENGTH:
        raise Mistake(
            text,
            "words of lower-case letters and digits, joined by hyphens, the first character a "
            f"letter, {MAX_LENGTH} characters at most, such as post-titles",
        )
    _, package, *_ = spellings(text)
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or find_spec(package):
        raise Mistake(text, "a name that is neither a Python keyword nor a module")
    pattern = re.compile(rf"(?<![A-Za-z0-9-])({'|'.join(spellings(text)[1:])})".encode())
    for path in files():
        used = path.parts[0] in DEPLOYED and pattern.search((ROOT / path).read_bytes())
        if used:
            raise Mistake(text, f"a name that is not used yet: {path} has {used[0].decode()}")
    return text


def new_folder(text: str) -> Path:
    """Return the path of a folder outside this project that does not exist, or is empty."""
    allowed = "a new or empty folder outside this project, such as ../post-titles"
    try:
        path = Path(text).expanduser().resolve()
        is_taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    except (OSError, RuntimeError) as error:
        raise Mistake(text, f"{allowed} ({error})") from None
    if is_taken or path.is_relative_to(ROOT.resolve()):
        raise Mistake(text, allowed)
    return path


def spellings(name: str) -> tuple[str, ...]:
    """Return how a project's name is spelled: everywhere, in Python, and in CloudFormation."""
    words = name.split("-")
    package = "_".join(words)
    return name, package, package.upper(), "".join(map(str.capitalize, words))


def copy(name: str, folder: Path) -> None:
    """Copy the files of this project to the folder, and change its name in paths and contents."""
    for path in files():
        content = (ROOT / path).read_bytes()
        if path not in UNCHANGED:
            content = renamed(content, name)
        target = folder / os.fsdecode(renamed(os.fsencode(path), name))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        shutil.copymode(ROOT / path, target)
    start_again(name, folder)


def renamed(content: bytes, name: str) -> bytes:
    for old, new in zip(spellings(OWN), spellings(name), strict=True):
        content = content.replace(old.encode(), new.encode())
    return content


def start_again(name: str, folder: Path) -> None:
    """Begin the versions and the changelog of the new project."""
    init = folder / "src" / spellings(name)[1] / "__init__.py"
    code = init.read_text(encoding="utf-8")
    init.write_text(code.replace(f'"{__version__}"', f'"{FIRST_VERSION}"'), encoding="utf-8")
    changelog = folder / "CHANGELOG.md"
    preface, _, _ = changelog.read_text(encoding="utf-8").partition("\n## ")
    entry = f"- Everything that {OWN} {__version__} has: {name} began as a copy of it."
    changelog.write_text(f"{preface}\n## [Unreleased]\n\n### Added\n\n{entry}\n", encoding="utf-8")


def files() -> Iterator[Path]:
    """Yield the files of this project, relative to it.

    In a clone, these are the files that git tracks. Otherwise, they are all files except those that
    .gitignore lists. Each of its lines is a pattern for the name of a file or folder.
    """
    listed = git(ROOT, "ls-files", "-z").stdout.split("\0")
    tracked = [path for path in map(Path, filter(None, listed)) if (ROOT / path).is_file()]
    yield from tracked or untracked()


def untracked() -> Iterator[Path]:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    ignored = [".git", *(line.rstrip("/") for line in lines)]

    def is_ignored(name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in ignored)

    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if not is_ignored(name)]
        for name in names:
            if not is_ignored(name):
                yield (Path(folder) / name).relative_to(ROOT)


def tidy(folder: Path) -> None:
    """Sort the imports, and wrap the lines: both depend on the name."""
    for command in ("check --fix --select=I", "format"):
        ruff = [sys.executable, "-m", "ruff", *command.split(), "--quiet", "--no-cache"]
        subprocess.run(ruff, cwd=folder, check=True)


def begin_history(folder: Path) -> str:
    """Commit everything to a new repository. Return "", or why git could not do it."""
    for _, *arguments in HISTORY:
        # git would guess an identity from the name of the machine.
        done = git(folder, "-c", "user.useConfigOnly=true", *arguments)
        if done.returncode:
            return done.stderr.strip().rpartition("\n")[2]
    return ""


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder. If git is not installed, it counts as having failed."""
    environment = {name: value for name, value in os.environ.items() if name not in GITS_VARIABLES}
    command = ["git", *arguments]
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 1, "", "git is not installed")


if __name__ == "__main__":
    output.run(main)
