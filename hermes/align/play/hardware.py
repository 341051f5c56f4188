"""What known GPUs compute and read at their best, and the share of it that a plan counts on."""

import re

from hermes.harness.records.types import Record

BUSY = 0.4
"""Share of the peak FLOP/s that large matrix products are taken to reach, and of the bandwidth that decoding does.
Megatron-LM trained at 44 to 52 % (arXiv 2104.04473, table 1), PaLM at 46 % (arXiv 2204.02311, table 3)."""


class Card(Record):
    """A kind of processor: dense FLOP/s in bfloat16 and in float32 (without TF32), bytes/s of its memory."""

    name: str
    bf16: float
    fp32: float
    bandwidth: float

    def peak(self, bf16: bool) -> float:
        """FLOP/s in this precision."""
        return self.bf16 if bf16 else self.fp32


T, GB = 1e12, 1e9
CARDS = (
    # NVIDIA's data sheets, without sparsity: H200 and H100 (2024), A100 (2021), L40S, L4, A10, A40, V100, T4.
    Card(name="H200", bf16=989.5 * T, fp32=67 * T, bandwidth=4800 * GB),
    Card(name="H100 PCIe", bf16=756 * T, fp32=51 * T, bandwidth=2000 * GB),
    Card(name="H100 NVL", bf16=835 * T, fp32=60 * T, bandwidth=3900 * GB),
    Card(name="H100", bf16=989.5 * T, fp32=67 * T, bandwidth=3350 * GB),
    Card(name="B200", bf16=2250 * T, fp32=75 * T, bandwidth=8000 * GB),
    Card(name="A100-PCIE-40GB", bf16=312 * T, fp32=19.5 * T, bandwidth=1555 * GB),
    Card(name="A100-SXM4-40GB", bf16=312 * T, fp32=19.5 * T, bandwidth=1555 * GB),
    Card(name="A100 80GB PCIe", bf16=312 * T, fp32=19.5 * T, bandwidth=1935 * GB),
    Card(name="A100", bf16=312 * T, fp32=19.5 * T, bandwidth=2039 * GB),
    Card(name="L40S", bf16=362 * T, fp32=91.6 * T, bandwidth=864 * GB),
    Card(name="A40", bf16=149.7 * T, fp32=37.4 * T, bandwidth=696 * GB),
    Card(name="A10", bf16=125 * T, fp32=31.2 * T, bandwidth=600 * GB),
    Card(name="L4", bf16=121 * T, fp32=30.3 * T, bandwidth=300 * GB),
    Card(name="V100", bf16=15.7 * T, fp32=15.7 * T, bandwidth=900 * GB),  # no bfloat16: emulated in float32
    Card(name="T4", bf16=8.1 * T, fp32=8.1 * T, bandwidth=320 * GB),  # likewise
    # NVIDIA's architecture white papers of Ada and Ampere (GA102), with sums in float32.
    Card(name="RTX 6000 Ada", bf16=364 * T, fp32=91.1 * T, bandwidth=960 * GB),
    Card(name="RTX 4090", bf16=165.2 * T, fp32=82.6 * T, bandwidth=1008 * GB),
    Card(name="RTX 3090", bf16=71 * T, fp32=35.6 * T, bandwidth=936 * GB),
    Card(name="RTX A6000", bf16=154.8 * T, fp32=38.7 * T, bandwidth=768 * GB),
)


def card_of(name: str) -> Card | None:
    """The card of a GPU's name as the driver gives it, "NVIDIA A100-SXM4-80GB"; None where it is not known."""
    return next((card for card in CARDS if re.search(rf"(?<!\w){card.name}(?!\w)", name, re.IGNORECASE)), None)
