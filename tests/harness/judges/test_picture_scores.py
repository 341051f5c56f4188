"""Scores of pictures: the numbers of the libraries' own calls, on random weights, and as runs over any prompts."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as t
from PIL import Image

from hermes.evaluators.fid import FID, read, written
from hermes.evaluators.pictures import ClipScore
from hermes.harness.contracts.benchmark import Answer
from hermes.harness.data.tables import load_data
from hermes.harness.judges.pictures.aesthetic import PLACES, WIDTHS, AestheticJudge
from hermes.harness.judges.pictures.clip import ClipScoreJudge, PickScoreJudge
from hermes.harness.judges.pictures.hpsv2 import HPSv2Judge
from hermes.harness.judges.pictures.inception import InceptionJudge
from hermes.harness.judges.pictures.statistics import distance, statistics_file
from hermes.harness.records.images import ImageHandle
from hermes.harness.records.types import Response
from hermes.harness.system import registry
from hermes.harness.system.errors import HermesError

PROMPTS = ["a red circle", "two green squares", "a blue " * 60]


def pictures(count: int, seed: int = 0, side: int = 40) -> list[Image.Image]:
    """Noise, so that every picture has features of its own."""
    draw = np.random.default_rng(seed)
    return [Image.fromarray(draw.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in range(count)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP checkpoint of transformers with random weights, its processor beside it."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    text = {**sizes, **ids, "vocab_size": len(words), "max_position_embeddings": 77}
    vision = {**sizes, "image_size": 32, "patch_size": 8}
    t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    tokenizer = t.CLIPTokenizer(vocab={word: n for n, word in enumerate(words)}, merges=[], model_max_length=77)
    prepares = t.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    t.CLIPProcessor(image_processor=prepares, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def logits(folder: Path, image: Image.Image, prompt: str) -> tuple[float, float]:
    """transformers' own number for one picture and prompt, and its scale."""
    model, processor = t.CLIPModel.from_pretrained(folder).eval(), t.CLIPProcessor.from_pretrained(folder)
    asked = processor(text=[prompt], images=[image], truncation=True, max_length=77, return_tensors="pt")
    with torch.no_grad():
        return float(model(**asked).logits_per_image), float(model.logit_scale.exp())


def test_clip_and_pick_scores_are_those_of_transformers(clip: Path) -> None:
    images = pictures(3)
    clipped = ClipScoreJudge.load(str(clip), "cpu").rate(images, PROMPTS)
    picked = PickScoreJudge.load(str(clip), "cpu").rate(images, PROMPTS)
    for image, prompt, one, other in zip(images, PROMPTS, clipped, picked, strict=True):
        logit, scale = logits(clip, image, prompt)
        assert one["score"] == pytest.approx(max(0.0, logit / scale), abs=1e-6)
        assert other["score"] == pytest.approx(logit, abs=1e-5)
    assert [one["cut"] for one in clipped] == [False, False, True]
    assert len({one["score"] for one in picked}) == 3


def test_the_weights_are_in_the_identity(clip: Path, tmp_path: Path) -> None:
    other = t.CLIPModel.from_pretrained(clip)
    with torch.no_grad():
        other.logit_scale += 1
    other.save_pretrained(tmp_path)
    t.CLIPProcessor.from_pretrained(clip).save_pretrained(tmp_path)
    names = {ClipScoreJudge.load(str(folder), "cpu").identity for folder in (clip, tmp_path)}
    assert len(names) == 2


def test_the_aesthetic_score_is_the_layers_over_the_normalised_embedding(clip: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    widths = [16, *WIDTHS]
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(widths)]
    named = {f"layers.{place}": layer for place, layer in zip(PLACES, layers, strict=True)}
    state = {f"{name}.{kind}": getattr(layer, kind) for name, layer in named.items() for kind in ("weight", "bias")}
    file = tmp_path / "head.pth"
    torch.save(state, file)
    images = pictures(2)
    judge = AestheticJudge.load(f"{file}@{clip}", "cpu")
    model, processor = t.CLIPModel.from_pretrained(clip).eval(), t.CLIPProcessor.from_pretrained(clip)
    with torch.no_grad():
        asked = processor(text=["a"] * 2, images=images, return_tensors="pt")
        told = torch.nn.Sequential(*layers)(model(**asked).image_embeds).squeeze(-1).tolist()
    assert [one["score"] for one in judge.rate(images, ["", ""])] == pytest.approx(told, abs=1e-5)
    torch.save({"weight": torch.zeros(1)}, file)
    with pytest.raises(HermesError, match="not the layers of the aesthetic score"):
        AestheticJudge.load(f"{file}@{clip}", "cpu")


@pytest.fixture
def hps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HPSv2's file as it is published, for a small model under the name of the large one's settings."""
    open_clip = pytest.importorskip("open_clip")
    settings = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
    }
    (tmp_path / "small-hps.json").write_text(json.dumps(settings))
    open_clip.add_model_config(tmp_path / "small-hps.json")
    monkeypatch.setattr("hermes.harness.judges.pictures.hpsv2.ARCHITECTURE", "small-hps")
    torch.manual_seed(3)
    model = open_clip.create_model("small-hps")
    torch.save({"epoch": 1, "state_dict": model.state_dict()}, tmp_path / "hps.pt")
    return tmp_path / "hps.pt"


def test_hpsv2_is_open_clip_s_cosine_of_the_whole_picture(hps: Path) -> None:
    import open_clip

    wide = Image.new("RGB", (64, 32), "red")
    square = Image.new("RGB", (32, 32))
    square.paste(wide.resize((32, 16)), (0, 8))
    images, prompts = [*pictures(2), wide, square], [*PROMPTS[:2], "a red box", "a red box"]
    found = HPSv2Judge.load(str(hps), "cpu").rate(images, prompts)
    model, _, transform = open_clip.create_model_and_transforms("small-hps", pretrained=str(hps))
    tokenizer = open_clip.get_tokenizer("small-hps")
    with torch.no_grad():
        for image, prompt, one in list(zip(images, prompts, found, strict=True))[:2]:
            seen, read_, _ = model.eval()(transform(image)[None], tokenizer([prompt]))
            assert one["score"] == pytest.approx(float((seen @ read_.T).squeeze()), abs=1e-6)
    assert found[2]["score"] == pytest.approx(found[3]["score"], abs=1e-6)
    assert HPSv2Judge.load(str(hps), "cpu").rate(pictures(1), [PROMPTS[2]])[0]["cut"]


@pytest.mark.usefixtures("hps")
def test_what_is_no_checkpoint_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"nothing")
    pytest.importorskip("torch_fidelity")
    Image.new("RGB", (8, 8)).save(tmp_path / "real.png")
    for judge, argument, said in (
        (HPSv2Judge, str(tmp_path / "x.pt"), "not the weights of HPSv2"),
        (InceptionJudge, f"{tmp_path}@{tmp_path / 'x.pt'}", "not the weights of FID"),
    ):
        with pytest.raises(HermesError, match=said) as refused:
            judge.load(argument, "cpu")  # type: ignore[attr-defined]
        assert "\n" not in str(refused.value)
    for judge, argument, said in (
        (HPSv2Judge, "gone.pt", "does not exist"),
        (AestheticJudge, None, "no weights are named"),
        (AestheticJudge, "gone.pth", "does not exist"),
        (ClipScoreJudge, str(tmp_path), "config.json"),
        (InceptionJudge, None, "no real pictures are named"),
        (InceptionJudge, "gone", "is no folder"),
    ):
        with pytest.raises(HermesError, match=said):
            judge.check(argument)  # type: ignore[attr-defined]


@pytest.fixture
def inception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch-fidelity's network with random weights in a file."""
    extractors = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setenv("HERMES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(extractors, "load_state_dict_from_url", lambda *_, **__: {})
    kept = torch.nn.Module.load_state_dict
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
    torch.manual_seed(4)
    network = extractors.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", kept)
    scaled = {name: 3 * one if name.endswith("conv.weight") else one for name, one in network.state_dict().items()}
    torch.save(scaled, tmp_path / "inception.pth")
    return tmp_path / "inception.pth"


def folder_of(home: Path, images: list[Image.Image]) -> Path:
    home.mkdir()
    for number, image in enumerate(images):
        image.save(home / f"{number}.png")
    return home


def test_fid_is_torch_fidelity_s(tmp_path: Path, inception: Path) -> None:
    import torch_fidelity

    drawn, real = folder_of(tmp_path / "drawn", pictures(2)), folder_of(tmp_path / "real", pictures(3, 1))
    judge = InceptionJudge.load(f"{real}@{inception}", "cpu")
    features = np.array([read(written(one)) for one in judge.features(pictures(2))], dtype=np.float32)
    told = torch_fidelity.calculate_metrics(
        input1=str(drawn),
        input2=str(real),
        fid=True,
        cuda=False,
        verbose=False,
        cache=False,
        batch_size=5,
        feature_extractor_weights_path=str(inception),
        save_cpu_ram=True,
    )
    value, n = distance(features, judge.reference)
    assert value == pytest.approx(told["frechet_inception_distance"], rel=1e-4)
    assert n == 3
    assert value > 1


def scored_pictures(evaluator: FID, samples: list[Any], images: list[Image.Image], judge: Any) -> dict[str, Any]:
    """The metrics of one picture for each sample."""
    responses = [Response(sample_id=one.id, index=0, seed=0, prompt_sha256="", image="") for one in samples]
    asked = [
        Answer(sample, response, ImageHandle(image))
        for sample, response, image in zip(samples, responses, images, strict=True)
    ]
    said = evaluator.ask_judge(asked, judge)
    judged = [replace(one, judgement=data) for one, data in zip(asked, said, strict=True)]
    pairs = zip(samples, evaluator.scores(judged, "official"), strict=True)
    return evaluator.aggregate(pairs, "official")


class Widths:
    """Stands for an extractor: the mean colour of a picture, three features."""

    reference = "given"

    def features(self, images: list[Image.Image]) -> list[list[float]]:
        return [np.asarray(image, dtype=np.float32).mean(axis=(0, 1)).tolist() for image in images]


def test_fid_of_few_pictures_is_noted_and_of_one_undefined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch_fidelity")
    monkeypatch.setenv("HERMES_CACHE", str(tmp_path))
    from hermes.harness.judges.pictures.statistics import keep

    statistics_file("given").parent.mkdir()
    keep("given", Widths().features(pictures(2, 5)))
    evaluator = FID()
    samples = list(evaluator.samples([{"prompt": "a"}, {"prompt": "b"}, {"prompt": "c"}]))
    metrics = scored_pictures(evaluator, samples, pictures(3, 6), Widths())
    assert metrics["fid"].value > 0
    assert metrics["fid"].low is None
    assert [note[:35] for note in evaluator.notes(metrics)] == ["FID of 3 pictures to 2 real ones: f"]
    one = scored_pictures(evaluator, samples[:1], pictures(1, 6), Widths())
    assert not one
    assert list(evaluator.notes(one)) == ["FID needs two pictures or more"]
    statistics_file("given").unlink()
    with pytest.raises(HermesError, match="is gone"):
        scored_pictures(evaluator, samples, pictures(3, 6), Widths())


def test_pictures_of_a_benchmark_are_scored_without_drawing_them_again(
    command: Any, tmp_path: Path, clip: Path
) -> None:
    asked = ("--model", "hermes-tiny", "--data", "shapes", "--limit", "2", "--runs", tmp_path)
    assert command("eval", *asked, "--tasks", "geneval").code == 0
    drawn = [path.read_bytes() for path in tmp_path.glob("answers/*/*/responses*.jsonl")]
    judges = f"oracle,clipscore:{clip},pickscore:{clip}"
    said = command(
        "eval", *asked, "--tasks", "geneval,clipscore:geneval,pickscore:geneval", "--judge", judges, "--json"
    )
    assert said.code == 0, said.err
    run = json.loads(said.out)
    assert drawn == [path.read_bytes() for path in tmp_path.glob("answers/*/*/responses*.jsonl")] != []
    found = run["results"]["pickscore:geneval"]
    scored = [
        json.loads(line)
        for path in tmp_path.glob("answers/*/*/scores/*pickscore*.jsonl")
        for line in path.read_text().splitlines()
        if json.loads(line)["status"] == "scored"
    ]
    values = [score["values"]["score"] for score in scored]
    assert len({score["group_id"] for score in scored}) == found["metrics"]["pickscore"]["groups"] > 1
    assert found["metrics"]["pickscore"]["value"] == pytest.approx(float(np.mean(values)))
    assert found["judge"].startswith("pickscore-clip")


def test_prompts_and_pictures_from_files(command: Any, tmp_path: Path, clip: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a red circle\n\ntwo green squares\n")
    images = pictures(2)
    for number, image in enumerate(images, 1):
        image.save(tmp_path / f"{number}.png")
    (tmp_path / "responses.jsonl").write_text(
        "".join(json.dumps({"id": k, "image": str(tmp_path / f"{k}.png")}) + "\n" for k in (1, 2))
    )
    asked = ("--task", "pickscore", "--data", tmp_path / "prompts.txt", "--responses", tmp_path / "responses.jsonl")
    said = command("score", *asked, "--judge", f"pickscore:{clip}", "--json")
    assert said.code == 0, said.err
    told = [logits(clip, image, prompt)[0] for image, prompt in zip(images, PROMPTS, strict=False)]
    metrics = json.loads(said.out)["metrics"]
    assert metrics["pickscore"]["value"] == pytest.approx(sum(told) / 2, abs=1e-4)
    assert metrics["prompt_cut"]["value"] == 0


@pytest.mark.parametrize(
    ("name", "content", "prompts"),
    [
        ("p.json", '["a", "b"]', ["a", "b"]),
        ("p.tsv", "Prompt\tCategory\na\tx\nb\ty\n", ["a", "b"]),
        ("p.jsonl", '{"id": "k", "prompt": "a"}\n', ["a"]),
    ],
)
def test_files_of_prompts(tmp_path: Path, name: str, content: str, prompts: list[str]) -> None:
    (tmp_path / name).write_text(content)
    found = load_data(ClipScore(), str(tmp_path / name), "test")
    assert [sample.prompt for sample in found.samples] == prompts


def test_a_benchmark_that_draws_nothing_of_its_own_has_no_pictures() -> None:
    for task in ("pope", "self-rejection", "clipscore"):
        with pytest.raises(HermesError, match="draws no pictures of its own"):
            registry.evaluator(f"clipscore:{task}")
