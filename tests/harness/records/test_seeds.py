"""Seeds are fixed, far apart, and fit everywhere."""

from hypothesis import given
from hypothesis import strategies as st

from hermes.harness.records.seeds import derive_seed

Parts = st.lists(st.one_of(st.integers(), st.text(alphabet=st.characters(exclude_characters="\x1f"))), min_size=1)


def test_pinned_values_so_that_stored_runs_stay_reproducible() -> None:
    assert derive_seed(0, "pope", "random/1", 0, "draw") == 8928638505435426557
    assert derive_seed("a") == 2340832890917691671


@given(Parts)
def test_seeds_are_63_bit_and_repeatable(parts: list[object]) -> None:
    assert derive_seed(*parts) == derive_seed(*parts)
    assert 0 <= derive_seed(*parts) < 2**63


@given(Parts, Parts)
def test_other_parts_give_another_seed(one: list[object], other: list[object]) -> None:
    same = [str(part) for part in one] == [str(part) for part in other]
    assert (derive_seed(*one) == derive_seed(*other)) == same


def test_where_one_part_ends_and_the_next_begins_matters() -> None:
    assert len({derive_seed("ab", "c"), derive_seed("a", "bc"), derive_seed("abc"), derive_seed("abc", "")}) == 4
