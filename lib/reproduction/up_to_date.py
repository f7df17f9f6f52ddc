"""Whether a summary or a study's answer is still that of what it was made of. Decided here alone.

It is out of date when one of these has changed since it was made:

- the code of its notebook,
- the rows of the runs that it read,
- the library's code that the notebook reaches by its imports. For the code that it takes to run a cell, the revisions
  stand instead (`revisions`): whether that computes the same is measured, and what it computed are the runs above.

Comments, docstrings, imports, empty lines and the place of a file do not count.
"""

import ast
import functools
import hashlib
import io
import json
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path

from reproduction.protocol.revisions import REVISIONS

_LIB = Path(__file__).parents[1]


class NotebookError(Exception):
    """A notebook that cannot be read, in a sentence."""


def digest(notebook: Path, runs: Iterable[str], *others: object) -> str:
    """One number for all that is read: the notebook, `runs` in any order, the code, and what else there is."""
    source = notebook_code(notebook)
    raised = {part: revision for part, revision in REVISIONS.items() if revision != 1}
    parts = [code_text(source), sorted(runs), _texts(modules_of(source)), raised, *others]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def notebook_code(notebook: Path) -> str:
    """The code cells of a notebook, less the bootstrap cell, which a tool puts there, as Python: a line of a magic or
    of a shell, such as ``%matplotlib inline``, is a call that names it. Raises NotebookError."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError):
        raise NotebookError(f"{notebook}: damaged, not a notebook") from None
    code = (cell for cell in cells if cell["cell_type"] == "code")
    own = "\n".join("".join(cell["source"]) for cell in code if "bootstrap" not in cell["metadata"].get("tags", []))
    code = re.sub(r"(?m)^([ \t]*)([%!].*)$", lambda line: f"{line[1]}get_ipython().ask({line[2]!r})", own)
    try:
        ast.parse(code)
    except SyntaxError as error:
        raise NotebookError(f"{notebook}: {error.msg} in the line {(error.text or '').strip()!r}") from None
    return code


@functools.cache
def training_code(training: str = "from reproduction.training import loop") -> str:
    """sha256 of the code that `training`, an import, reaches: a checkpoint of other code is not gone on from."""
    return hashlib.sha256("\n".join(_texts(_reached(training))).encode()).hexdigest()


def modules_of(source: str) -> set[Path]:
    """The files of the library that `source` reaches by imports, without those that it takes to run a cell."""
    return _reached(source) - _reached("from reproduction import run")


def _reached(source: str) -> set[Path]:
    found, todo = set(), [source]
    while todo:
        new = _imported(todo.pop()) - found
        found |= new
        todo += [path.read_text(encoding="utf-8") for path in new]
    return found


def _imported(source: str) -> set[Path]:
    """The library's files that `source` itself imports."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    places = (_LIB.joinpath(*name.split(".")) for name in names)
    paths = (path for place in places for path in (place.with_suffix(".py"), place / "__init__.py"))
    found = {path for path in paths if path.is_file()}
    by_name = [path.parent for path in found if path.parent.name == "parts"]  # it imports its modules by their names
    return found | {path for folder in by_name for path in folder.glob("*.py")}


def _texts(modules: set[Path]) -> list[str]:
    return sorted(code_text(path.read_text(encoding="utf-8")) for path in modules)


def code_text(source: str) -> str:
    """Python source without comments, docstrings, imports and empty lines; the same on every Python."""
    lines, dropped = source.splitlines(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_text(node):
            dropped.update(range(node.lineno, node.end_lineno + 1))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    kept = (line.rstrip() for number, line in enumerate(lines, start=1) if number not in dropped)
    return "\n".join(line for line in kept if line)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
