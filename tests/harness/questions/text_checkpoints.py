"""Tiny random text models in the layout of real checkpoints: a LLaMA and a T5 over the letters of ASCII."""

from pathlib import Path
from string import printable

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, processors
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

SPECIAL = ("<pad>", "</s>", "<unk>", "<s>")


def _tokenizer(folder: Path, template: str, ids: dict[str, int]) -> int:
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *printable))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=list(ids.items()))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    fast.save_pretrained(folder)
    return len(vocabulary)


def tiny_llama(folder: Path) -> Path:
    """A decoder whose tokenizer, like LLaMA's, puts <s> before a text."""
    size = _tokenizer(folder, "<s> $A", {"<s>": 3})
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=1024,
        bos_token_id=3,
        eos_token_id=1,
        pad_token_id=0,
        initializer_range=0.5,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def tiny_t5(folder: Path) -> Path:
    """An encoder and decoder whose tokenizer puts </s> behind a text."""
    size = _tokenizer(folder, "$A </s>", {"</s>": 1})
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=size,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        initializer_factor=4.0,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder
