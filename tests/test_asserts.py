"""`python -O` leaves asserts out, so none of the product's may do or decide anything."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def tells_a_type(node: ast.expr) -> bool:
    """`isinstance(x, T)`, `x is None`, and what is made of them: said for the type checker."""
    if isinstance(node, ast.BoolOp):
        return all(map(tells_a_type, node.values))
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not) and tells_a_type(node.operand)
    if isinstance(node, ast.Compare):
        compared = node.comparators[0]
        is_none = isinstance(compared, ast.Constant) and compared.value is None
        return is_none and all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops)
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"


def test_asserts_of_the_product_only_tell_types():
    others = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("dmnet", "pipeline")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert) and not tells_a_type(node.test)
    ]
    assert others == [], "raise an error of dmnet.errors instead"
