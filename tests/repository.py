"""What the tests about the repository itself share: its files, and who imports what."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Left out where there is no git to ask: an unpacked archive, a copy.
IGNORED = {"__pycache__", "build", "dist", "runs", "data", "out", "node_modules"}


def tracked_files() -> list[Path]:
    """Files that are, or are about to be, in the repository: what git knows and does not ignore."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
        command += ["--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
        files = [ROOT / name for name in listing.split("\0") if name]
    else:
        files = [path for path in ROOT.rglob("*") if not _ignored(path.relative_to(ROOT))]
    return sorted(path for path in files if path.is_file())


def _ignored(relative: Path) -> bool:
    top = relative.parts[0]
    hidden = top.startswith(".") and top not in {".ci", ".gitignore"}
    in_root = len(relative.parts) > 1 and top in IGNORED
    return hidden or in_root or "__pycache__" in relative.parts or "node_modules" in relative.parts


def python_files(package: str) -> list[Path]:
    """Python modules below a folder of the repository, e.g. ``edge`` or ``edge/runtime``."""
    return [path for path in tracked_files() if path.suffix == ".py" and (ROOT / package) in path.parents]


def module_name(path: Path) -> str:
    """Dotted name of a module: ``edge/runtime/__init__.py`` is ``edge.runtime``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a module imports, at the top or inside a function.

    ``from a.b import c`` gives ``a.b.c``: whether c is a module or a name in one makes no difference to who may
    import whom. ``importlib.import_module("a.b")`` counts where the name is spelt out.
    """
    is_package = path.name == "__init__.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module_name(path).split(".")
                parents = parents[: len(parents) - node.level + (1 if is_package else 0)]
                base = ".".join([*parents, base] if base else parents)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value
