"""What the authors' own code computed (golden files) against what this device computes, in float32 and in bfloat16."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpu.measuring import Figure, Place, Skipped
from hermes.harness.models.full_float32 import full_float32

NOISE = {"float32": 1e-4, "bfloat16": 5e-2}
"""Size of the difference over size of what is expected, |found - expected| / |expected|."""
Found = Iterator[tuple[str, Tensor, Tensor]]


def check(place: Place) -> Iterator[Figure]:
    """Each family whose golden files are here; bfloat16 where the model is ever run in it."""
    if place.parity is None:
        raise Skipped("the golden files are not here; name their folder with --parity")
    for family, folder, compare, precisions in FAMILIES:
        golden = place.parity / folder
        if not golden.is_dir():
            yield Figure(family, None, "", "skipped: its golden files are not here")
            continue
        for precision in precisions:
            with torch.inference_mode(), full_float32(place.device):
                for what, found, expected in compare(golden, place.device, getattr(torch, precision)):
                    yield compared(f"{family}, {what}, {precision}", found, expected, precision)


def compared(name: str, found: Tensor, expected: Tensor, precision: str) -> Figure:
    """Numbers by the size of their difference; ids, which are integers, by the share that is equal."""
    found = found.cpu()
    if not expected.is_floating_point():
        same = float((found == expected).double().mean())
        rule = precision == "float32"
        return Figure(name, 100 * same, "% equal", "all" if rule else "", same == 1 if rule else None)
    apart = float((found.double() - expected.double()).norm() / expected.double().norm())
    return Figure(name, apart, "", f"at most {NOISE[precision]:g}", apart <= NOISE[precision])


def showo(golden: Path, device: str, dtype: torch.dtype) -> Found:
    """Logits of both tasks, greedy answers, log-probabilities of a preference pair."""
    from hermes.harness.models.showo.config import read_config
    from hermes.harness.models.showo.likelihood import Likelihood, LikelihoodBatch, pair_targets
    from hermes.harness.models.showo.load import read_network
    from hermes.harness.models.showo.prompting import Layout
    from hermes.harness.models.showo.text import Ask, write
    from hermes.harness.models.showo.tokenizer import TextTokenizer

    with tempfile.TemporaryDirectory() as folder:
        save_file(load_file(golden / "showo_state_dict_f16.safetensors"), Path(folder) / "pytorch_model.safetensors")
        shutil.copytree(golden / "phi_config", Path(folder) / "phi_config")
        model = read_network(Path(folder), "phi_config").eval().to(device, dtype)
    meta = json.loads((golden / "meta.json").read_text())
    end = TextTokenizer.load(golden / "tokenizer").end
    layout = Layout(read_config(golden / "config.json").vocabulary(end), meta["config"]["max_text"])
    told = load_file(golden / "forward.safetensors")
    for task in ("t2i", "mmu"):
        hidden, _ = model(told[f"{task}_ids"].to(device), told[f"{task}_allowed"].to(device))
        yield f"logits of {task}", model.logits(hidden), told[f"{task}_logits"]
    told = load_file(golden / "mmu_generate.safetensors")
    for tag in sorted({name.split(".")[0] for name in told if name.startswith("greedy")}):
        prompt, tokens = told[f"{tag}.prompt"][0].tolist(), told[f"{tag}.tokens"]
        at = prompt.index(layout.vocabulary.eoi)
        asks = [Ask(0, prompt[at + 1 :], max_new_tokens=len(tokens))]
        seen = torch.tensor([prompt[2:at]], device=device)
        yield f"answer {tag}", torch.tensor(write(model, layout, seen, asks, None)[0]), tokens
    pair = load_file(golden / "pair_dpo.safetensors")
    targets = pair_targets(pair["labels_win"], len(pair["image_win"]), layout, "intended")
    for half, target in zip(("t2i", "mmu"), targets, strict=True):
        batch = LikelihoodBatch(pair["ids_win"], pair["allowed_win"], target).to(device)
        sums, _ = Likelihood(model)(batch)
        yield f"log-probabilities of {half}", sums.sum(), pair[f"intended.ref.win.{half}"]


def magvit(golden: Path, device: str, dtype: torch.dtype) -> Found:
    """Show-o's image tokeniser, which is in float32 always: codes of pictures, pixels of codes."""
    from hermes.harness.models.magvit.tokeniser import load_magvit

    model = load_magvit(golden / "magvitv2_state_dict_f16.safetensors", device)
    told = load_file(golden / "magvitv2.safetensors")
    yield "codes", model.encode(told["pixels"]), told["codes"]
    yield "pixels", model.decode(told["codes"]), told["decoded"]


def showo2(golden: Path, device: str, dtype: torch.dtype) -> Found:
    """The language model's states behind a picture, a text's logits, pictures of the autoencoder."""
    from hermes.harness.contracts.options import LoadOptions
    from hermes.harness.models.showo2.adapter import Showo2
    from hermes.harness.models.showo2.attending import omni

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        shutil.copyfile(golden / "config.json", folder / "config.json")
        for part in ("llm", "siglip"):
            (folder / part).symlink_to(golden / part)
        weights = {"showo2_state_dict_f16": "pytorch_model.bin", "wan_vae_state_dict_f16": "Wan2.1_VAE.pth"}
        for source, name in weights.items():
            held = load_file(golden / f"{source}.safetensors")
            torch.save({key: tensor.float() for key, tensor in held.items()}, folder / name)
        options = LoadOptions(dtype=str(dtype).removeprefix("torch."))  # type: ignore[arg-type]
        model = Showo2.load(str(folder), device, options)
    network = model.network
    told = {name: tensor.to(device) for name, tensor in load_file(golden / "forward_base.safetensors").items()}
    begin, count = told["modality_positions"][:, 0].T
    shown, _ = network.picture(told["latents"], told["t"])
    ids, length = told["text_tokens"], told["text_tokens"].shape[1]
    at = begin[:, None] + torch.arange(int(count[0]), device=device)
    rows = torch.arange(len(ids), device=device)[:, None]
    embedded = network.words(ids).index_put((rows, at), shown.to(dtype))
    allowed, places = omni(length, begin, int(count[0])), torch.arange(length, device=device)[None]
    yield "states", network.read(embedded, allowed, places), told["llm_last_hidden"].cpu()
    alone = load_file(golden / "text_only.safetensors")
    ids = alone["ids"].to(device)
    allowed, places = omni(ids.shape[1], torch.zeros(1, device=device), 0), torch.arange(ids.shape[1], device=device)
    hidden = network.read(network.words(ids), allowed, places[None])
    yield "logits of a text", network.showo.lm_head(hidden), alone["logits"]
    wan = load_file(golden / "wan_vae.safetensors")
    yield "pixels of latents", torch.stack([model.wan.decode(z.to(device)) for z in wan["z"]]), wan["decoded"]


def mask2former(golden: Path, device: str, dtype: torch.dtype) -> Found:
    """GenEval's detector, which is in float32 always: class and mask logits of a picture."""
    from hermes.harness.judges.mask2former.checkpoint import load_checkpoint
    from hermes.harness.judges.mask2former.convert import build
    from hermes.harness.judges.mask2former.detector import Detector
    from hermes.harness.judges.mask2former.preprocess import prepare

    found = load_checkpoint(golden / "state_dict_mmdet2x.safetensors")
    test = json.loads((golden / "config.json").read_text())["test"]
    scale = test["scale_long"], test["scale_short"]
    detector = Detector(build(found.config, found.weights), device, scale=scale)
    for path in sorted(golden.glob("expected_img*.json")):
        image = Image.open(golden / json.loads(path.read_text())["image"]).convert("RGB")
        classes, masks = detector.logits([prepare(image, scale)])
        told = load_file(path.with_suffix(".safetensors"))
        yield f"classes of {path.stem}", classes[0], told["class_logits"]
        yield f"masks of {path.stem}", masks[0], told["mask_logits"]


def mplug(golden: Path, device: str, dtype: torch.dtype) -> Found:
    """DPG-Bench's reader, which is in float32 always: its answers, as the share that is equal."""
    from hermes.harness.judges.mplug.judge import MPlugJudge

    told = json.loads((golden / "cases.json").read_text())
    images = [Image.open(golden / path) for path in told["images"]]
    judge = MPlugJudge.load(str(golden / "model"), device)
    cases = told["cases"]
    said = judge.answer(
        [images[case["image"]] for case in cases], [told["questions"][case["question"]] for case in cases]
    )
    same = [one == case["text"] for one, case in zip(said, cases, strict=True)]
    yield "answers", torch.tensor(same), torch.ones(len(same), dtype=torch.bool)


FULL, BOTH = ("float32",), ("float32", "bfloat16")
FAMILIES: tuple[tuple[str, str, Callable[[Path, str, torch.dtype], Found], tuple[str, ...]], ...] = (
    ("showo", "showo", showo, BOTH),
    ("magvitv2", "showo", magvit, FULL),
    ("showo2", "showo2", showo2, BOTH),
    ("mask2former", "mask2former", mask2former, FULL),
    ("mplug", "mplug", mplug, FULL),
)
"""Each with the folder of its golden files, and the precisions in which it is run."""
