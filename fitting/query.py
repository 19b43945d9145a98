"""Conditions and formulas over columns alone: what a stranger's `--where` may say, and nothing else."""

from __future__ import annotations

import ast
import re

import numpy as np
import pandas as pd

from .errors import InputError

_ALLOWED = (
    ast.Expression,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.UnaryOp,
    ast.Not,
    ast.Invert,
    ast.USub,
    ast.UAdd,
    ast.BinOp,
    ast.BitAnd,
    ast.BitOr,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.Compare,
    ast.Eq,
    ast.NotEq,
    ast.Lt,
    ast.LtE,
    ast.Gt,
    ast.GtE,
    ast.In,
    ast.NotIn,
    ast.Name,
    ast.Load,
    ast.Constant,
    ast.List,
    ast.Tuple,
)
_LONGEST = 2000
_BACKTICKED = re.compile(r"`([^`\n]*)`")


def rows_matching(frame: pd.DataFrame, query: str) -> np.ndarray:
    """Which rows of `frame` the `query` selects, as booleans (n,).

    The query is pandas' query language cut down to columns (in backticks where the name is no identifier),
    constants, comparisons, arithmetic and and/or/not; no calls, attributes, subscripts or variables. Raises
    InputError, one line naming the query, for anything else and for a query that is no yes-or-no question.
    """
    text = query.strip()
    seen = _seen_by(text, frame, "--where")
    try:
        with np.errstate(all="ignore"):
            answer = seen.eval(text, engine="python", local_dict={}, global_dict={})
    except Exception as error:  # pandas raises whatever the columns' own operators raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"--where {query!r}: {reason}") from error
    chosen = np.asarray(answer)
    if chosen.shape != (len(frame),) or chosen.dtype != bool:
        raise InputError(f"--where {query!r} is no condition on rows: compare a column, as in 'n_params > 1e7'")
    return chosen


def values_of(frame: pd.DataFrame, formula: str, label: str) -> pd.Series:
    """What `formula`, arithmetic on columns in the same language, gives in each row, as floats.

    Raises InputError, beginning with `label`, for anything else and for what is no number.
    """
    text = formula.strip()
    seen = _seen_by(text, frame, label)
    try:
        with np.errstate(all="ignore"):
            answer = seen.eval(text, engine="python", local_dict={}, global_dict={})
        return pd.Series(np.broadcast_to(np.asarray(answer, dtype=float), len(frame)), index=frame.index)
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{label}: {formula!r}: {reason}") from error


def _seen_by(text: str, frame: pd.DataFrame, label: str) -> pd.DataFrame:
    """The columns that `text` names, once it is checked; under arithmetic integers are floats, which do not wrap."""
    tree = _checked(text, [str(name) for name in frame.columns], label)
    named = {*_BACKTICKED.findall(text), *(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))}
    seen = pd.DataFrame({str(name): frame[name] for name in frame.columns if str(name) in named}, index=frame.index)
    if not any(isinstance(node, (ast.Add, ast.Sub, ast.Mult)) for node in ast.walk(tree)):
        return seen
    whole = [name for name in seen if pd.api.types.is_integer_dtype(seen[name])]
    return seen.astype(dict.fromkeys(whole, float))


def check_formula(formula: str, label: str) -> None:
    """Raises InputError, beginning with `label`, where `formula` is none whatever the columns."""
    _parsed(formula.strip(), label)


def _checked(text: str, columns: list[str], label: str) -> ast.Expression:
    tree = _parsed(text, label)
    for name in (*_BACKTICKED.findall(text), *(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))):
        if name not in columns or name.startswith("__"):
            raise InputError(f"{label} {text!r}: no column {name!r}; columns: {', '.join(columns)}")
    return tree


def _parsed(text: str, label: str) -> ast.Expression:
    example = "'n_params > 1e7 and seed == 0'" if label == "--where" else "'steps * 1024'"
    if not text or len(text) > _LONGEST:
        raise InputError(f"{label} {text[:80]!r}: an expression has 1 to {_LONGEST} characters")
    if "@" in text:
        raise InputError(f"{label} {text!r}: '@' is not allowed, an expression sees columns only")
    try:
        # A backticked name stands for a column, whatever is in it: any identifier will do for the syntax.
        tree = ast.parse(_BACKTICKED.sub("None", text), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{label} {text!r} is no expression: write as in {example}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            raise InputError(f"{label} {text!r}: put a name with dots in backticks, as in `{ast.unparse(node)}`")
        if not isinstance(node, _ALLOWED):
            kind = "a function" if isinstance(node, ast.Call) else type(node).__name__
            allowed = "columns, numbers and texts with + - * / < <= == != in and or not"
            raise InputError(f"{label} {text!r}: {kind} is not allowed: {allowed} are")
    return tree
