"""The pages for strangers: what they quote is what the programs say, and what they tell to type exists."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from functools import cache

import pytest

from edge import cli, errors
from export import __main__ as export
from tests.repository import ROOT, python_files
from training import __main__ as training

TROUBLE = ROOT / "docs" / "troubleshooting.md"
CLASSES = [c for c in vars(errors).values() if inspect.isclass(c)]
SCRIPTS = ("demo", "flash", "provision", "test", "lib.bash", "firstboot")
#: What the pages tell to type, and who reads it.
PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "carcloud": cli.main, "python -m training": training.main, "python -m export": export.main,
}
PAGES = ("README.md", "docs/guide.md", "docs/own-cars.md", "docs/client.md", "docs/meshes.md")
#: Variable parts of a sentence: the quotation's and the source's.
GAP = "..."


def text_of(node: ast.expr) -> str:
    """The text of an expression, with a gap for each part that only running it tells."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%%|%[-+ #0-9.]*[a-zA-Z]", lambda m: "%" if m.group() == "%%" else GAP, node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else GAP for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return text_of(node.left)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left) + text_of(node.right)
    return GAP


@cache
def sentences() -> dict[str, set[str]]:
    """Every text of the Python sources, and the names of the errors that are raised with it as it stands."""
    found: dict[str, set[str]] = {}
    for path in (path for package in ("edge", "export", "training") for path in python_files(package)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp)):
                if " " in (text := text_of(node)):
                    found.setdefault(text, set())
            elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                found.setdefault(text_of(node.exc.args[0]), set()).add(ast.unparse(node.exc.func).split(".")[-1])
    return found


@cache
def exit_codes() -> dict[str, int]:
    """Exit codes by the names of the errors, those included that other modules derive."""
    codes = {c.__name__: c.exit_code for c in CLASSES}
    for path in (path for package in ("edge", "export", "training") for path in python_files(package)):
        for name, base in re.findall(r"^class (\w+)\((\w+)\):", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            if base in codes:
                codes.setdefault(name, codes[base])
    return codes


def pattern_of(quotation: str) -> re.Pattern[str]:
    """Matches a sentence that has all constant parts of a quotation in their order."""
    parts = [re.escape(part.strip()) for part in quotation.split(GAP) if part.strip()]
    return re.compile(".{0,120}?".join(parts), flags=re.DOTALL)


def sections() -> dict[str, str]:
    """The page's sections by heading."""
    parts = re.split(r"^## (.*)$", TROUBLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def quotations(section: str) -> list[str]:
    """The sentences a section's rows begin with, when they begin with one."""
    return re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)


def coded() -> list[tuple[str, int, list[str]]]:
    """(heading, exit code, quotations) of the sections that are about an exit code."""
    found = [(head, re.match(r"(\d+): ", head), quotations(body)) for head, body in sections().items()]
    return [(head, int(match.group(1)), rows) for head, match, rows in found if match]


def faults(heading: str, code: int, quotation: str) -> list[str]:
    """What is wrong with a quotation: nobody says so, or who says so has another exit code."""
    pattern = pattern_of(quotation)
    raisers = [names for sentence, names in sentences().items() if pattern.search(sentence)]
    if not raisers:
        return [f"{heading}: nobody says `{quotation}`"]
    names = set().union(*raisers) & set(exit_codes())
    if names and code not in {exit_codes()[name] for name in names}:
        return [f"{heading}: `{quotation}` is of {', '.join(sorted(names))}"]
    return []


def test_every_quoted_sentence_is_said_by_the_sources_with_that_exit_code() -> None:
    rows = [(heading, code, row) for heading, code, found in coded() for row in found]
    assert len(rows) > 80
    assert [fault for row in rows for fault in faults(*row)] == []


def test_every_quoted_sentence_of_a_script_is_said_by_one() -> None:
    said = "\n".join((ROOT / "scripts" / name).read_text(encoding="utf-8") for name in SCRIPTS)
    rows = quotations(sections()["Scripts"])
    assert len(rows) > 10
    said = re.sub(r"\$\{[^}]*\}|\$\([^)]*\)|\$\w+", GAP, said)
    assert [row for row in rows if not pattern_of(row).search(said)] == []


def test_each_kind_of_error_has_a_row() -> None:
    heads = {code: heading for heading, code, rows in coded() if rows}
    missing = [c.__name__ for c in CLASSES if c.__name__ not in heads.get(c.exit_code, "")]
    assert missing == []


@pytest.mark.parametrize(("heading", "code", "quotation", "fault"), [
    ("3: BundleError", 3, "the moon is made of ... cheese", "nobody says"),
    ("4: SourceError", 4, "is incomplete: ... is missing; copy the bundle again", "is of BundleError"),
    ("8: DataError", 8, "graph differs from PyTorch by", "is of ExportError"),
])
def test_a_row_that_went_stale_is_found(heading: str, code: int, quotation: str, fault: str) -> None:
    (found,) = faults(heading, code, quotation)
    assert fault in found


def typed(text: str) -> list[tuple[str, list[str]]]:
    """(program, its words) of each command in the blocks of a page."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = "\n".join(body for kind, body in blocks if kind in ("", "sh")).replace("\\\n", " ").splitlines()
    found = [re.match(rf"(?:\S*/)?({'|'.join(PROGRAMS)}) ([a-z].*)", line) for line in lines]
    return [(match.group(1), match.group(2).split("#")[0].split()) for match in found if match]


def unknown_words(program: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The command itself and its flags, those that its help does not list."""
    names = [word for word in words[: 2 if words[0] in ("meshes", "shapes", "datasets") else 1] if word.isalnum()]
    with pytest.raises(SystemExit) as stopped:
        PROGRAMS[program]([*names, "--help"])
    shown = capsys.readouterr().out
    if stopped.value.code != 0:
        return names
    return [word for word in words if word.startswith("--") and word not in re.findall(r"--[a-z0-9-]+", shown)]


@pytest.mark.parametrize("page", PAGES)
def test_commands_a_page_tells_to_type_are_understood(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands = typed((ROOT / page).read_text(encoding="utf-8"))
    assert commands
    wrong = [(program, words[0], unknown_words(program, words, capsys)) for program, words in commands]
    assert [line for line in wrong if line[2]] == []


@pytest.mark.parametrize(("line", "wrong"), [
    ("carcloud served --port 8000", ["served"]),
    ("carcloud serve --prot 8000", ["--prot"]),
    ("python -m training meshes check --only", ["--only"]),
])
def test_a_command_that_is_none_is_found(line: str, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    ((program, words),) = typed(f"```sh\n{line}\n```\n")
    assert unknown_words(program, words, capsys) == wrong
