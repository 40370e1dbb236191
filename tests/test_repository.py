"""Promises about the repository as a whole: what runs where, how long files may be, what must not be in them."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import edge
from edge import errors
from tests.repository import ROOT, python_files, tracked_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_MODULE_LINES = 400
MAX_FILE_BYTES = 60 << 20
TEXT = {".py", ".md", ".toml", ".txt", ".json", ".js", ".mjs", ".css", ".html", ".bash", ".yml", ".yaml", ".cfg", ""}
#: Written apart, so that this file does not find itself.
MACHINE_PATHS = ["/wo" + "rk/", "/ro" + "ot/", "/opt/py" + "pi", "/opt/whe" + "els", ".py" + "env/versions"]
PACKAGE_HOSTS = ["py" + "pi.org", "python" + "hosted.org", "deb.deb" + "ian.org", "npm" + "js.org", "py" + "torch.org"]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def text_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix in TEXT]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def readme() -> str:
    return re.sub(r"<!--.*?-->", "", text_of(ROOT / "README.md"), flags=re.DOTALL)


def project() -> dict:
    return tomllib.loads(text_of(ROOT / "pyproject.toml"))


# --- the device part is Python 3.6 --------------------------------------------------------------------------------

#: In the standard library of every Python we develop on, but not of 3.6.
NEWER_MODULES = {
    "dataclasses", "contextvars", "graphlib", "tomllib", "zoneinfo", "importlib.metadata", "importlib.resources",
}
#: Names of `typing` that 3.6 lacks.
NEWER_TYPING = {"Final", "Literal", "Protocol", "TypedDict", "Annotated", "ParamSpec", "TypeAlias", "Self"}
#: Keywords that functions of the standard library learnt later, by the function's last name.
NEWER_KEYWORDS = {"run": {"capture_output", "text"}, "Popen": {"text"}, "check_output": {"text"}}
#: Methods and functions that came later.
NEWER_ATTRIBUTES = {
    "removeprefix", "removesuffix", "fromisoformat", "time_ns", "monotonic_ns", "perf_counter_ns", "isascii",
}


def too_new(tree: ast.AST) -> list[str]:
    """What a module uses that Python 3.6 parses but does not have."""
    found = []
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            found += [f"{line}: from __future__ import annotations" for a in node.names if a.name == "annotations"]
        elif isinstance(node, ast.ImportFrom) and node.module == "typing":
            found += [f"{line}: typing.{a.name}" for a in node.names if a.name in NEWER_TYPING]
        elif isinstance(node, ast.ImportFrom) and node.module in NEWER_MODULES:
            found.append(f"{line}: {node.module}")
        elif isinstance(node, ast.Import):
            found += [f"{line}: {a.name}" for a in node.names if a.name in NEWER_MODULES]
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            found += [f"{line}: {name}({k.arg}=)" for k in node.keywords if k.arg in NEWER_KEYWORDS.get(name, ())]
        elif isinstance(node, ast.Attribute) and node.attr in NEWER_ATTRIBUTES:
            found.append(f"{line}: .{node.attr}")
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            if node.value.id in {"list", "dict", "tuple", "set", "type"}:
                found.append(f"{line}: {node.value.id}[...]")
    return found


def test_edge_is_python_3_6() -> None:
    found = []
    for path in python_files("edge") + python_files("tests/edge") + [ROOT / "tests" / "conftest.py"]:
        try:
            tree = ast.parse(text_of(path), str(path), feature_version=(3, 6))
        except SyntaxError as error:
            found.append(f"{relative(path)}:{error.lineno}: {error.msg}")
            continue
        found += [f"{relative(path)}:{what}" for what in too_new(tree)]
    assert found == []


@pytest.mark.parametrize("text", [
    "from __future__ import annotations",
    "from typing import Literal",
    "import dataclasses",
    "from dataclasses import dataclass",
    "subprocess.run(['ls'], capture_output=True)",
    "x: list[int] = []",
    "'abc'.removeprefix('a')",
])
def test_the_python_3_6_check_finds(text: str) -> None:
    assert len(too_new(ast.parse(text))) == 1


# --- files --------------------------------------------------------------------------------------------------------


def test_modules_are_short() -> None:
    scripts = [path for path in tracked_files() if path.suffix == ".js" and "vendor" not in path.parts]
    modules = [path for package in ("edge", "training", "export", "tests") for path in python_files(package)]
    lengths = {relative(path): len(text_of(path).splitlines()) for path in modules + scripts}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_MODULE_LINES} == {}


def test_public_modules_say_what_they_are() -> None:
    modules = [path for package in ("edge", "training", "export") for path in python_files(package)]
    silent = [relative(p) for p in modules if text_of(p).strip() and not ast.get_docstring(ast.parse(text_of(p)))]
    assert silent == []


@pytest.mark.parametrize("words", [MACHINE_PATHS, PACKAGE_HOSTS], ids=["machine paths", "package hosts"])
def test_no_file_names(words: list[str]) -> None:
    found = [f"{relative(path)}: {word}" for path in text_files() for word in words if word in text_of(path)]
    assert found == []


def test_no_huge_file() -> None:
    found = {relative(p): p.stat().st_size for p in tracked_files() if p.stat().st_size > MAX_FILE_BYTES}
    assert found == {}


def test_no_mesh_is_in_the_repository() -> None:
    """Most meshes carry a copyleft or attribution licence: they are fetched, never committed (NOTICE)."""
    meshes = {".glb", ".gltf", ".obj", ".acc", ".3dm", ".sh3f", ".stl", ".off"}
    assert [relative(path) for path in tracked_files() if path.suffix.lower() in meshes] == []


# --- words --------------------------------------------------------------------------------------------------------


def heading_anchors(text: str) -> set[str]:
    """The anchors a Markdown reader makes of the headings of a text."""
    headings = re.findall(r"^#+ +(.*?)\s*$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_in_markdown_resolve() -> None:
    broken = []
    for path in (p for p in tracked_files() if p.suffix == ".md"):
        text = re.sub(r"<!--.*?-->|```.*?```", "", text_of(path), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", link):
                continue
            target, _, anchor = link.partition("#")
            goal = (path.parent / target).resolve() if target else path
            if not goal.exists():
                broken.append(f"{relative(path)}: {link} is not there")
            elif anchor and goal.suffix == ".md" and anchor not in heading_anchors(text_of(goal)):
                broken.append(f"{relative(path)}: {link} has no such heading")
    assert broken == []


def test_paths_the_readme_tells_to_type_exist() -> None:
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", readme(), flags=re.DOTALL))
    paths = set(re.findall(r"(?<![\w/])(?:scripts|training|tests|docs|docker)/[\w./-]*\w", commands))
    assert paths
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_readme_has_no_gap_left() -> None:
    assert "TODO" not in readme()


def test_version_is_one() -> None:
    assert project()["project"]["dynamic"] == ["version"]
    assert project()["tool"]["flit"]["module"]["name"] == "edge"
    assert re.search(rf"^## \[{re.escape(edge.__version__)}\]", text_of(ROOT / "CHANGELOG.md"), flags=re.MULTILINE)


def test_constraints_are_plain_pins() -> None:
    files = sorted(ROOT.glob("constraints*.txt"))
    assert files
    pin = re.compile(r"[a-z0-9-]+==[0-9][\w.]*( ; .*)?")
    lines = [line for path in files for line in text_of(path).splitlines() if not line.startswith("#")]
    assert [line for line in lines if not pin.fullmatch(line)] == []


def test_every_dependency_is_pinned() -> None:
    pinned = set(re.findall(r"^([a-z0-9-]+)==", text_of(ROOT / "constraints.txt"), flags=re.MULTILINE))
    table = project()["project"]
    wanted = table["dependencies"] + [word for extra in table["optional-dependencies"].values() for word in extra]
    names = {re.split(r"[<>=; ]", word)[0].lower().replace("_", "-") for word in wanted}
    assert names - pinned == set()


# --- errors, package, scripts -------------------------------------------------------------------------------------


def test_every_error_has_a_test() -> None:
    classes = [c for c in vars(errors).values() if inspect.isclass(c) and c is not errors.CarcloudError]
    tests = "\n".join(text_of(path) for path in python_files("tests"))
    assert [c.__name__ for c in classes if not re.search(rf"raises\([^)]*\b{c.__name__}\b", tests)] == []


def test_exit_codes_are_the_errors_own() -> None:
    """Each kind of error has its own exit code; 2 is argparse's for a wrong flag, which is the same kind."""
    direct = errors.CarcloudError.__subclasses__()
    codes = [c.exit_code for c in direct]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes


def test_the_readme_lists_the_exit_codes() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", readme(), flags=re.MULTILINE))
    classes = [c for c in vars(errors).values() if inspect.isclass(c) and c is not errors.CarcloudError]
    assert [c.__name__ for c in classes if f"`{c.__name__}`" not in rows.get(str(c.exit_code), "")] == []


def test_the_wheel_holds_edge_and_all_of_it(tmp_path: Path) -> None:
    wheel = pytest.importorskip("flit_core.wheel", reason="flit_core comes with the extra `dev`")
    info = wheel.make_wheel_in(ROOT / "pyproject.toml", tmp_path)
    with zipfile.ZipFile(info.file) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        points = archive.read(f"carcloud-{edge.__version__}.dist-info/entry_points.txt").decode()
    wanted = {relative(path) for path in tracked_files() if ROOT / "edge" in path.parents}
    assert wanted <= names
    assert {name.split("/")[0] for name in names} == {"edge"}
    assert "carcloud=edge.cli:main" in points.replace(" ", "")


@pytest.mark.parametrize("script", ["demo", "test"])
def test_scripts_explain_themselves_and_dry_run(script: str) -> None:
    path = str(ROOT / "scripts" / script)
    shown = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"usage: scripts/{script}")
    before = sorted(ROOT.glob(".venv*"))
    dry = subprocess.run([path, "--dry-run"], capture_output=True, text=True, timeout=60)
    assert dry.returncode == 0, dry.stderr
    assert "would run:" in dry.stdout
    assert sorted(ROOT.glob(".venv*")) == before


def test_continuous_integration_runs_the_same_as_anybody() -> None:
    lines = text_of(ROOT / ".ci" / "run").splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set "))]
    assert len(commands) == 1
    assert commands[0].startswith("exec") and "scripts/test" in commands[0]


def test_scripts_are_executable() -> None:
    scripts = [path for path in tracked_files() if path.suffix == "" and path.parent.name in {"scripts", ".ci"}]
    assert len(scripts) >= 3
    assert [relative(path) for path in scripts if not path.stat().st_mode & 0o111] == []
