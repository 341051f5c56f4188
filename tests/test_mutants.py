"""The list of mutants fits the code: each fault can be put in, and its tests exist."""

import ast

import pytest
from mutants import HOME, Mutant, mutants, mutated


@pytest.mark.parametrize("mutant", mutants(), ids=lambda one: one.name)
def test_a_mutant_fits_the_code(mutant: Mutant) -> None:
    ast.parse(mutated(mutant))
    assert all((HOME / test).exists() for test in mutant.tests)


def test_there_are_enough() -> None:
    assert len(mutants()) >= 30
