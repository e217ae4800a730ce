import ast
from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS

TESTS = Path(__file__).parent.parent


def functions(module):
    """Return the tests of a module that check something and are not skipped whatever happens."""
    tree = ast.parse((TESTS / f"{module}.py").read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    helpers = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node not in found and checks(node)}
    return {node.name for node in found if checks(node, helpers) and not any(skips(mark) for mark in node.decorator_list)}


def checks(test, helpers=()):
    """Say whether a test asserts, expects an error, or compares arrays, itself or in a function of its module."""
    calls = {ast.unparse(node.func) for node in ast.walk(test) if isinstance(node, ast.Call)}
    return any(isinstance(node, ast.Assert) for node in ast.walk(test)) or any(
        call == "pytest.raises" or call in helpers or call.startswith("np.testing.assert_") for call in calls
    )


def skips(mark):
    return ast.unparse(mark).split("(")[0].endswith("mark.skip")


def test_every_fault_of_data_has_a_place():
    assert sorted(FAULTS) == list(range(1, 67))
    assert all(fault.case and fault.outcome and fault.tests for fault in FAULTS.values())


@pytest.mark.parametrize("number", FAULTS)
def test_the_tests_of_a_fault_exist_and_check_something(number):
    for name in FAULTS[number].tests:
        module, _, function = name.partition("::")
        assert function in functions(module), name
