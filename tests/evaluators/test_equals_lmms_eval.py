"""The lmms-eval protocol equals the installed lmms-eval on thousands of odd answers; skipped where there is none."""

import random
from collections.abc import Iterator

import pytest
from asked import PICTURE, scored
from PIL import ImageFile

from hermes.evaluators import gqa, mme, mmmu, vqav2
from hermes.evaluators.pope import POPE
from hermes.evaluators.vqav2_testdev import submitted

pytest.importorskip("lmms_eval")
pytestmark = pytest.mark.slow

PIECES = (
    *("yes", "no", "No", "YES", "a", "an", "the", "one", "none", "10", "1,000", "1,,5", "3.14", "-2", "1e5", "2.50"),
    *(".", ",", "?", "!", " ", "  ", "\n", "\t", "'s", "isnt", "wouldntve", "somebody'd", "Im", "-", "/", "(", ")"),
    *("A", "B", "(A)", "B.", "C ", "NASA", "D", "is ", "answer ", "so ", "=", "%", "$", "_", "`", ";", ":", "'", '"'),
    *("\\", "{", "}", "\0", "é", "\u0130", "ß", "\u00a0", "\u2028", "\u4e2d", "\U0001f600", "\uff11", "\u00b2"),
)


@pytest.fixture(autouse=True)
def leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing lmms-eval's tasks makes pillow read truncated images; that is put back after each test."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)


def texts(rng: random.Random, count: int, longest: int = 8) -> Iterator[str]:
    for _ in range(count):
        yield "".join(rng.choice(PIECES) for _ in range(rng.randint(0, longest)))


def test_vqav2_and_its_submission() -> None:
    from lmms_eval.tasks._task_utils.vqa_eval_metric import EvalAIAnswerProcessor
    from lmms_eval.tasks.vqav2.utils import vqav2_process_results

    rng = random.Random(1)
    processor = EvalAIAnswerProcessor()
    rows, replies, expected = [], [], []
    for number, reply in enumerate(texts(rng, 2000)):
        assert submitted(reply) == processor(reply)
        options = [reply, *texts(rng, 3, 3)]
        people = [{"answer": rng.choice(options), "answer_id": k % 9, "sure": "yes"} for k in range(10)]
        people[0]["answer"] = "red"  # ten empty answers are refused
        kinds = {"question_type": "what", "answer_type": "other", "question": "?"}
        rows.append({"question_id": number, "image_id": 0, "image": PICTURE, "answers": people, **kinds})
        theirs = [dict(person) for person in people]
        replies.append(reply.strip())
        expected.append(
            vqav2_process_results({"question_id": number, "answers": theirs}, [reply.strip()])["exact_match"]
        )
    scores, _ = scored(vqav2.VQAv2(), rows, replies, "lmms-eval")
    assert [score.values["accuracy"] for score in scores] == pytest.approx(expected, abs=1e-15)


def test_pope() -> None:
    from lmms_eval.tasks.pope import utils

    rng = random.Random(2)
    replies = [*texts(rng, 2000, 2), *rng.choices(("yes", "no", " Yes ", "NO"), k=2000)]
    rows = [
        {
            "question_id": k,
            "question": "?",
            "answer": rng.choice(("yes", "no")),
            "image": PICTURE,
            "category": "random",
        }
        | {"image_source": "0"}
        for k in range(len(replies))
    ]
    results = [
        utils.pope_process_results(row, [reply])["pope_f1_score"] for row, reply in zip(rows, replies, strict=True)
    ]
    scores, metrics = scored(POPE(), rows, replies, "lmms-eval")
    assert [score.values["correct"] for score in scores] == [result["score"] for result in results]
    for name, aggregate in {
        **{"accuracy": utils.pope_aggregate_accuracy, "precision": utils.pope_aggregate_precision},
        **{"recall": utils.pope_aggregate_recall, "f1": utils.pope_aggregate_f1_score},
        "yes_ratio": utils.pope_aggregate_yes_ratio,
    }.items():
        assert metrics[name] == pytest.approx(100 * aggregate(results))


def test_mme_and_gqa() -> None:
    from lmms_eval.api.metrics import exact_match_hf_evaluate
    from lmms_eval.tasks.mme.utils import parse_pred_ans

    rng = random.Random(3)
    for reply in texts(rng, 3000):
        assert mme.read(reply, "lmms-eval") == parse_pred_ans(reply.strip())
        gold = rng.choice([reply, reply.lower(), reply.upper(), f"{reply}.", *texts(rng, 1, 2)])
        theirs = exact_match_hf_evaluate([reply.strip()], [gold], ignore_case=True, ignore_punctuation=True)
        assert (gqa.read(reply, "lmms-eval") == gqa.plain(gold)) == bool(theirs["exact_match"])


def test_mmmu() -> None:
    from lmms_eval.tasks.mmmu import utils

    rng = random.Random(4)
    state = random.getstate()
    for reply in texts(rng, 3000):
        said = reply.strip()
        options = [option or "x" for option in texts(rng, rng.randint(2, 5), 3)]
        names, letters = utils.get_multi_choice_info(options)
        drawn = random.Random(0).choice(letters)
        random.seed(0)
        assert (mmmu.read_letter(said, options, "lmms-eval") or drawn) == utils.parse_multi_choice_response(
            said, letters, names
        )
        found = utils.parse_open_response(said)
        assert sorted(map(repr, mmmu.read_open(said))) == sorted(map(repr, found))
        golds = list(texts(rng, 2, 2))
        assert mmmu.open_correct(mmmu.read_open(said), golds) == utils.eval_open(golds, found)
    random.setstate(state)
