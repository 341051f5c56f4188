"""A small Show-o checkpoint with random weights in the published layout, for the tests beside this file."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from hermes.harness.models.magvit.config import MagvitConfig
from hermes.harness.models.magvit.tokeniser import Magvit
from hermes.harness.models.showo.config import ShowoConfig
from hermes.harness.models.showo.load import write_network
from hermes.harness.models.showo.phi import Phi, Shape

TEXT = ["a red cat sits on two boats", "what is in the image? USER: ASSISTANT:", "is it day or night, really"]
BITS = 5


def make_checkpoint(folder: Path) -> Path:
    """Weights, config, ``tokenizer`` and ``magvitv2`` of a model of 32 x 32 px, 4 tokens and 32 codes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    words = tokenizer.get_vocab_size()
    config = ShowoConfig(words, 1 << BITS, 4, "phi_config", max_text=12)
    generator = torch.Generator().manual_seed(3)
    network = Phi(Shape(vocab=config.as_json()["vocab_size"], width=32, layers=2, heads=2, inner=64))
    _fill(network, generator, 0.2)
    write_network(network, config.as_json(), folder)
    (folder / "tokenizer").mkdir()
    tokenizer.save(str(folder / "tokenizer" / "tokenizer.json"))
    make_magvit(folder / "magvitv2", generator)
    return folder


def make_magvit(folder: Path, generator: torch.Generator) -> None:
    """An image tokeniser of 16 x 16 px a code, in its published layout."""
    images = Magvit(MagvitConfig(32, (32,) * 5, (1,) * 5, (32,) * 5, (1,) * 5, BITS))
    _fill(images, generator, 0.1)
    folder.mkdir()
    state = {name: tensor.contiguous() for name, tensor in images.state_dict().items()}
    save_file(state, folder / "pytorch_model.safetensors")
    (folder / "config.json").write_text(json.dumps({"_class_name": "MAGVITv2"}))


def _fill(module: torch.nn.Module, generator: torch.Generator, scale: float) -> None:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator) * scale
            parameter.copy_(noise + 1 if "norm" in name and name.endswith("weight") else noise)
