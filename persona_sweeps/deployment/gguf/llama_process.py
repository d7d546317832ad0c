"""The process in which llama.cpp loads a GGUF file, so that what it refuses by aborting ends this process alone.

`python -m persona_sweeps.deployment.gguf.llama_process FILE CONTEXT [ADAPTER]` writes its address once the file is
loaded, and serves until its input is closed.
"""

from __future__ import annotations

import os
import sys


def main(file: str, context: str, *adapters: str) -> None:
    """Serve a file with the adapters on it, by llama.cpp's own server."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = file
    params.n_ctx = int(context)
    params.n_parallel = 1
    params.warmup = False
    params.fit_params = False
    params.cpuparams.n_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else -1
    if adapters:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 1.0) for path in adapters]
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)  # its own end waits for threads


if __name__ == "__main__":
    main(*sys.argv[1:])
