"""A Liquid checkpoint: Gemma, its tokenizer, and Chameleon's VQGAN."""

from transformers import GemmaForCausalLM, PreTrainedTokenizerFast

from hermes.harness.contracts.options import LoadOptions
from hermes.harness.models.adapters import merge_adapter
from hermes.harness.models.chameleon_vq.files import read_codec
from hermes.harness.models.liquid.places import NAME, codec_folder
from hermes.harness.models.liquid.prompting import LiquidPrompting
from hermes.harness.models.pretrained import loading, read_config, read_network
from hermes.harness.models.quiet import quiet
from hermes.harness.models.source import Source, folder_of
from hermes.harness.models.stream.loaded import Loaded
from hermes.harness.models.stream.writing import settings_of
from hermes.harness.system.errors import HermesError


def load_checkpoint(where: Source, device: str, options: LoadOptions) -> Loaded:
    """The checkpoint of a folder or hub id. Raises HermesError for what is missing, torn or of another kind."""
    folder = folder_of(where)
    codec = read_codec(codec_folder(folder))
    with loading(f"{NAME}: {where.name}", "; give a checkpoint in the layout of Junfeng5/Liquid_V1_7B"):
        with quiet():
            config = read_config(str(folder), NAME, {}, "gemma")
            words = PreTrainedTokenizerFast.from_pretrained(folder, clean_up_tokenization_spaces=False)
        if len(words) + codec.config.codes != config.vocab_size:
            raise HermesError(
                f"{NAME}: {where.name} has {config.vocab_size:,} tokens, not {len(words):,} of its tokenizer and "
                f"{codec.config.codes:,} image codes; give Liquid's own config.json, tokenizer and VQGAN"
            )
        prompting = LiquidPrompting(words, codec.config.codes, where.name, options.as_released)
        network = read_network(GemmaForCausalLM, str(folder), device, options, {}, NAME)
    network.generation_config = settings_of(prompting)
    if options.adapter:
        network = merge_adapter(network, options.adapter, f"model {NAME}")
    if not options.device_map:
        network = network.to(device)
    return Loaded(network.eval(), codec.to(network.device), prompting, folder, None if where.local else folder.name)
