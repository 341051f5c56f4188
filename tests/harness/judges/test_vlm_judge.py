"""The judge of transformers models, on tiny checkpoints of real architectures that are saved and loaded from disk."""

import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hermes
from hermes.harness.judges.replies import asked, plain_reply
from hermes.harness.judges.vlm.judge import VLMJudge
from hermes.harness.models.source import parse_source
from hermes.harness.system.errors import HermesError, JudgeError

pytest.importorskip("torchvision")

import tiny_vlms
import torch
import transformers
from safetensors.torch import load_file, save_file

QUESTIONS = ("Is there a dog?", "Is there a red cat, or two blue?", "a?")
MAKERS: dict[str, Callable[[Path], Path]] = {
    "llava": tiny_vlms.llava,
    "llava-without-template": lambda folder: tiny_vlms.llava(folder, template=False),
    "qwen2_vl": tiny_vlms.qwen2_vl,
    "blip_vqa": tiny_vlms.blip_vqa,
}


@pytest.fixture(scope="module", params=MAKERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MAKERS[request.param](tmp_path_factory.mktemp("vlm") / request.param)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlms.llava(tmp_path_factory.mktemp("vlm") / "llava")


@pytest.fixture
def copied(llava: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may break."""
    return Path(shutil.copytree(llava, tmp_path / "broken"))


def pictures(count: int) -> list[Image.Image]:
    """Noise of several sizes."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (20 + 4 * n, 30, 3), dtype=np.uint8)) for n in range(count)]


def pairs(count: int) -> tuple[list[Image.Image], list[str]]:
    """Every question about every picture."""
    images = [image for image in pictures(count) for _ in QUESTIONS]
    return images, [*QUESTIONS] * count


def told(folder: Path, image: Image.Image, question: str) -> str:
    """What the checkpoint says to one question, asked by transformers alone."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    if "blip" in folder.name:
        model: Any = transformers.BlipForQuestionAnswering.from_pretrained(folder)
        inputs = processor(images=image, text=question, return_tensors="pt")
        return str(processor.decode(model.generate(**inputs, max_new_tokens=16)[0], skip_special_tokens=True))
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    mark = "<|vision_start|><|image_pad|><|vision_end|> " if "qwen" in folder.name else "<image> "
    text = f"user : {mark}{asked(question)} assistant :"
    if "without" in folder.name:
        text = f"<image>\n{asked(question)}"
    inputs = processor(images=image, text=text, return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=16, do_sample=False)
    return str(processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


def test_a_batch_says_what_each_question_alone_says(folder):
    judge = VLMJudge.load(str(folder), "cpu")
    images, questions = pairs(4)
    together = judge.answer(images, questions)
    alone = [judge.answer([image], [question])[0] for image, question in zip(images, questions, strict=True)]
    assert together == alone
    assert len(set(together)) > 3


def test_it_says_what_transformers_says(folder):
    images, questions = pairs(2)
    said = VLMJudge.load(str(folder), "cpu").answer(images, questions)
    assert said == [plain_reply(told(folder, *pair)) for pair in zip(images, questions, strict=True)]


def test_it_looks_at_the_image_whatever_its_mode(llava):
    judge = VLMJudge.load(str(llava), "cpu")
    images = pictures(8)
    said = judge.answer(images, [QUESTIONS[1]] * 8)
    assert len(set(said)) > 2
    assert judge.answer([image.convert("RGBA") for image in images], [QUESTIONS[1]] * 8) == said


def test_answers_that_begin_with_yes_or_no_are_plain(copied):
    """A model that can say nothing but "Yes" and "No", word after word, and one that begins the other way round."""
    yes, no = transformers.AutoTokenizer.from_pretrained(copied).convert_tokens_to_ids(["Yes", "No"])
    weights = load_file(copied / "model.safetensors")
    head = next(weight for name, weight in weights.items() if "lm_head" in name)
    row = head[0].clone()
    said = []
    for sign in (1, -1):
        head.zero_()
        head[yes], head[no] = sign * row, -sign * row
        save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
        said.append(VLMJudge.load(str(copied), "cpu").answer(*pairs(3)))
    assert set(said[0]) <= {"yes", "no"}
    assert said[1] == [{"yes": "no", "no": "yes"}[reply] for reply in said[0]]


def test_no_question_has_no_answer(folder):
    assert VLMJudge.load(str(folder), "cpu").answer([], []) == []


def test_the_identity_is_that_of_the_weights_and_settings(llava, copied):
    names = {VLMJudge.load(str(llava), "cpu").identity, VLMJudge.load(f"{llava}/", "cpu").identity}
    assert len(names) == 1
    assert names.pop().startswith("hf-llava-")
    before = VLMJudge.load(str(copied), "cpu").identity
    (copied / "README.md").write_text("more")
    assert VLMJudge.load(str(copied), "cpu").identity == before
    template = copied / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert VLMJudge.load(str(copied), "cpu").identity != before


class TestMemory:
    """A GPU that holds only so many questions at once."""

    @pytest.fixture
    def sizes(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
        """`sizes(most)`: batches of more than ``most`` do not fit; returns the sizes that are tried."""
        generate = transformers.LlavaForConditionalGeneration.generate

        def limit(most: int) -> list[int]:
            tried: list[int] = []

            def limited(self: Any, **inputs: Any) -> Any:
                tried.append(len(inputs["input_ids"]))
                if tried[-1] > most:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                return generate(self, **inputs)

            monkeypatch.setattr(transformers.LlavaForConditionalGeneration, "generate", limited)
            return tried

        return limit

    def test_batches_are_halved_for_good(self, llava, sizes):
        images, questions = pairs(7)
        judge = VLMJudge.load(str(llava), "cpu")
        expected = judge.answer(images, questions)
        tried = sizes(5)
        assert judge.answer(images, questions) == expected
        assert judge.answer(images[:5], questions[:5]) == expected[:5]
        assert tried == [16, 8, *[4] * 5, 1, 4, 1]

    def test_one_question_that_does_not_fit_is_out_of_memory(self, llava, sizes):
        sizes(0)
        with pytest.raises(torch.OutOfMemoryError):
            VLMJudge.load(str(llava), "cpu").answer(*pairs(1))


def test_a_model_that_fails_on_an_image_is_an_error_of_that_image(tmp_path):
    judge = VLMJudge.load(str(tiny_vlms.qwen2_vl(tmp_path / "qwen")), "cpu")
    with pytest.raises(JudgeError, match=r"judge hf: .*aspect ratio") as error:
        judge.answer([Image.new("RGB", (600, 2))], ["a?"])
    assert "\n" not in str(error.value)


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_a_weight(folder: Path, change: Callable[[torch.Tensor], torch.Tensor] | None) -> None:
    """The first weight is changed, or gone."""
    weights = load_file(folder / "model.safetensors")
    name = min(weights)
    weight = weights.pop(name)
    if change:
        weights[name] = change(weight)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def remove(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a weight is missing": (partial(change_a_weight, change=None), "the weights of .* lack 1 tensors"),
    "a weight has another shape": (
        partial(change_a_weight, change=lambda weight: weight[:-1]),
        "the weights of .* hold .* with the shape",
    ),
    "torn weights": (lambda folder: (folder / "model.safetensors").write_bytes(b"\x10"), "cannot be loaded"),
    "no weights": (remove("model.safetensors"), "cannot be loaded"),
    "no tokenizer": (remove("tokenizer.json", "tokenizer_config.json"), "cannot be loaded .*tokenizer"),
    "no processor": (remove("processor_config.json"), "cannot be loaded .*image processor"),
    "a language model": (
        lambda folder: rewrite(folder / "config.json", model_type="bert"),
        "is not an image-to-text model",
    ),
    "its own code": (
        lambda folder: rewrite(
            folder / "config.json", model_type="theirs", auto_map={"AutoConfig": "configuration_theirs.Theirs"}
        ),
        "its own code, which is never run",
    ),
    "an unknown type": (lambda folder: rewrite(folder / "config.json", model_type="nobody"), "cannot be loaded"),
    "torn config": (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
}


@pytest.mark.parametrize(("spoil", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_checkpoint_is_one_line(copied, spoil, says):
    spoil(copied)
    with pytest.raises(HermesError, match=f"^judge hf: .*{says}") as error:
        VLMJudge.load(str(copied), "cpu")
    assert "\n" not in str(error.value)


class TestHub:
    """A hub that cannot be reached, with one model in the cache as a download leaves it."""

    COMMIT = "0123456789abcdef0123456789abcdef01234567"

    @pytest.fixture(autouse=True)
    def cached(self, llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = tmp_path / "models--org--tiny"
        shutil.copytree(llava, model / "snapshots" / self.COMMIT)
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text(self.COMMIT)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    @pytest.mark.parametrize("name", ["org/tiny", "org/tiny@main", f"org/tiny@{COMMIT}"])
    def test_the_identity_has_the_commit(self, llava, name):
        judge = VLMJudge.load(name, "cpu")
        assert judge.identity == "hf-org/tiny-0123456789ab-prompt1-reader1"
        assert judge.answer(*pairs(1)) == VLMJudge.load(str(llava), "cpu").answer(*pairs(1))

    @pytest.mark.parametrize("name", ["org/other", "org/tiny@v2"])
    def test_what_cannot_be_had_is_one_line(self, name):
        with pytest.raises(HermesError, match=r"^judge hf: .* cannot be loaded") as error:
            VLMJudge.load(name, "cpu")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["org/model", "gpt2", "Org/model-1.5_x", "org/model@refs/pr/3"])
def test_hub_ids_are_checked_for_their_form(name):
    VLMJudge.check(name)
    source = parse_source(name, "judge hf")
    assert (source.name, source.revision) == (name.partition("@")[0], name.partition("@")[2] or None)


@pytest.mark.parametrize(
    "name",
    [None, "", "/no/such/folder", "./folder", "a/b/c", "org/", "org/model@", "https://hub/org/model", "a b", "~"],
)
def test_what_is_neither_a_folder_nor_a_hub_id_is_one_line(name, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(HermesError, match="judge hf"):
        VLMJudge.check(name)


def test_a_folder_must_hold_a_model_and_has_no_revision(llava, tmp_path):
    VLMJudge.check(str(llava))
    with pytest.raises(HermesError, match=r"holds no config\.json"):
        VLMJudge.check(str(tmp_path))
    with pytest.raises(HermesError, match="has no revision"):
        VLMJudge.check(f"{llava}@main")


def test_it_detects_nothing(llava):
    with pytest.raises(HermesError, match="cannot detect"):
        VLMJudge.load(str(llava), "cpu").detect(pictures(1), [()])


def test_a_run_is_judged_by_it(llava, tmp_path):
    content = hermes.evaluate(
        model="null", tasks=("dpg_bench",), judge=f"hf:{llava}", limit=1, device="cpu", out=tmp_path / "run"
    )
    result = content["results"]["dpg_bench"]
    assert result.judge == VLMJudge.load(str(llava), "cpu").identity
    assert sum(result.counts.values()) == 4
    assert result.counts["error"] == 0
    stored: Sequence[str] = (
        next((tmp_path / "run").glob("answers/*/dpg_bench-*/judgements/*/judgements.0.jsonl")).read_text().splitlines()
    )
    assert len(stored) == 4


@pytest.mark.parametrize("maker", [tiny_vlms.llava, tiny_vlms.qwen2_vl])
def test_first_tokens_have_the_probabilities_that_transformers_gives(
    maker: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder, (image, other) = maker(tmp_path / maker.__name__), pictures(2)
    judge, wanted = VLMJudge.load(str(folder), "cpu"), ("dog", "red cat", "?")
    found = judge.weigh([image, other, image], ["a dog ?", "a dog ?", "two ?"], [wanted] * 3)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    model: Any = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    mark = "<|vision_start|><|image_pad|><|vision_end|> " if "qwen" in folder.name else "<image> "
    inputs = processor(images=image, text=f"user : {mark}a dog ? assistant :", return_tensors="pt")
    with torch.inference_mode():
        truth = model(**inputs).logits[0, -1].softmax(-1)
    for word, token in (("dog", "dog"), ("red", "red")):
        assert found[0]["tokens"][token] == pytest.approx(
            float(truth[processor.tokenizer(word)["input_ids"][0]]), rel=1e-4
        )
    assert found[0]["pieces"]["red cat"] == "red"
    assert max(found[0]["tokens"].values()) == pytest.approx(float(truth.max()), rel=1e-4)
    assert sum(found[0]["tokens"].values()) + found[0]["rest"] == pytest.approx(1.0)
    assert len({json.dumps(one) for one in found}) == 3


def test_a_written_reply_is_long_and_asked_without_words_of_hermes_own(llava: Path) -> None:
    judge, (image,) = VLMJudge.load(str(llava), "cpu"), pictures(1)
    seen: list[Any] = []
    judge._model.replies = lambda asks: seen.extend(asks) or ["Score: 1"]  # type: ignore[method-assign,func-returns-value]
    assert judge.write([image], ["Rate it."], "Be strict.", 500, 0) == ["Score: 1"]
    assert (seen[0].prompt, seen[0].max_new_tokens) == ("Be strict.\n\nRate it.", 500)


def test_a_model_that_chooses_among_answers_weighs_no_tokens(llava: Path) -> None:
    judge = VLMJudge.load(str(llava), "cpu")
    judge._model.module = torch.nn.Module()
    with pytest.raises(JudgeError, match="has no tokens"):
        judge.weigh(pictures(1), ["a dog ?"], [("yes",)])
