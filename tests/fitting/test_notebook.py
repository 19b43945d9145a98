"""The notebook of the documentation: its code runs, and what it shows is what comes out."""

import ast
import contextlib
import io
import json
import re
from typing import Any

import pytest

from ..conftest import ROOT

NOTEBOOK = ROOT / "docs" / "api.ipynb"
NUMBER = re.compile(r"\d*\.?\d+(?:e-?\d+)?")


def run(source, names) -> tuple[str, Any]:
    """The cell's standard output, and the value of its last line where that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, str(NOTEBOOK), "exec"), names)
        value = eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names) if last else None
    return printed.getvalue(), value


def last_digit(number):
    """What one more in the last printed digit adds."""
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def assert_same(shown, now):
    """The same words, and numbers that agree to one in the last digit shown."""
    assert NUMBER.sub("#", now).split() == NUMBER.sub("#", shown).split()
    for then, found in zip(NUMBER.findall(shown), NUMBER.findall(now), strict=True):
        assert float(found) == pytest.approx(float(then), abs=1.01 * last_digit(then))


def test_the_notebook_still_shows_what_its_code_gives():
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    names = {"__name__": "__main__"}
    compared = pictures = 0
    for cell in cells:
        printed, value = run("".join(cell["source"]), names)
        assert cell["outputs"], "a cell without an output: execute the notebook again"
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                assert_same("".join(output["text"]), printed)
            elif "image/png" in output["data"]:
                assert value._repr_png_().startswith(b"\x89PNG")
                pictures += 1
            else:
                assert_same("".join(output["data"]["text/plain"]), repr(value))
            compared += 1
    assert compared > len(cells)
    assert pictures


def test_the_notebook_stays_small():
    assert NOTEBOOK.stat().st_size < 300_000
