#!/bin/sh
# Measures Hermes on this machine's GPU: benchmarks/gpu_check.py with the repository's own packages, without network.
# Installs nothing; PYTHON names another interpreter than python3.
set -eu
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
missing=$("${PYTHON:-python3}" -c '
from importlib.util import find_spec
needed = ("torch", "transformers", "accelerate", "peft", "safetensors", "tokenizers", "pydantic", "numpy", "PIL", "rich")
print(*(name for name in needed if find_spec(name) is None))')
if [ -n "$missing" ]; then
    echo "gpu_check: ${PYTHON:-python3} lacks $missing; run: pip install -e '.[all]'" >&2
    exit 2
fi
exec "${PYTHON:-python3}" benchmarks/gpu_check.py "$@"
