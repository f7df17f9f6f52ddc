"""Text is UTF-8 whatever the locale says; in one of Latin-1 or ASCII it would be read as something else, or not at all.

ruff's rule for it (PLW1514) sees only calls on a literal ``Path(...)``, which few are.
"""

import ast

import pytest

from reproduction.checkout import REPOSITORY
from reproduction.protocol.profiles import load_profile

SOURCES = [path for folder in ("lib", "workflow", "tools") for path in sorted((REPOSITORY / folder).rglob("*.py"))]
NO_TEXT = {"os.open", "Image.open"}


def calls_in_the_locales_encoding(source):
    """The calls that read or write text, or have a process do so, without saying in which encoding."""
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        function, named = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
        modes = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
        opens = function.split(".")[-1] == "open" and function not in NO_TEXT and not any("b" in str(m) for m in modes)
        text = function.endswith((".read_text", ".write_text")) or opens or "text" in named
        if text and "encoding" not in named:
            yield ast.unparse(call)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_no_text_is_in_the_locales_encoding(path):
    assert list(calls_in_the_locales_encoding(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "call",
    ["path.read_text()", "path.write_text('é')", "open(path)", "path.open('w')", "path.open()", "run(c, text=True)"],
)
def test_the_rule_sees(call):
    assert len(list(calls_in_the_locales_encoding(f"x = {call}"))) == 1
    with_encoding = f"{call[:-1]}, encoding='utf-8')".replace("(, ", "(")
    assert list(calls_in_the_locales_encoding(f"x = {with_encoding}")) == []


def test_a_profile_in_another_encoding_is_named(tmp_path):
    (tmp_path / "mine.yaml").write_bytes("title: déjà vu\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"mine\.yaml: not YAML .*#x00e9: invalid"):
        load_profile("mine", tmp_path)
