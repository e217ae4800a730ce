"""Each fault of training has its tests."""

import pytest

from tests.faults.test_catalogue import functions
from tests.faults.training_catalogue import TRAINING_FAULTS


def test_every_fault_of_training_has_a_place():
    assert sorted(TRAINING_FAULTS) == list(range(67, 97))


@pytest.mark.parametrize("number", TRAINING_FAULTS)
def test_the_tests_of_a_fault_of_training_exist(number):
    for name in TRAINING_FAULTS[number].tests:
        module, _, function = name.partition("::")
        assert function in functions(module), name
