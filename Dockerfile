# syntax=docker/dockerfile:1
# Two images from one file: `--target service` (CPU torch, no trainer) and `--target worker`.
# Each is built where compilers may be, and runs from a slim image that holds the result alone.

FROM python:3.11-slim AS source
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/modomodo
ENV PATH=/opt/modomodo/bin:$PATH
WORKDIR /source
COPY pyproject.toml constraints.txt README.md ./
COPY modomodo modomodo
COPY service service
COPY db db
COPY rewards rewards
COPY trainer trainer
COPY alembic alembic

FROM source AS build-service
# The surrogates need torch, not CUDA.
RUN pip install --extra-index-url https://download.pytorch.org/whl/cpu \
    -c constraints.txt '.[service,postgres]'

FROM source AS build-worker
RUN pip install -c constraints.txt '.[trainer,lora]'

FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 HOME=/data PATH=/opt/modomodo/bin:$PATH
RUN useradd --uid 10001 --home-dir /data modomodo && mkdir /data && chown modomodo /data
WORKDIR /data
USER modomodo
VOLUME /data

FROM base AS service
COPY --from=build-service /opt/modomodo /opt/modomodo
EXPOSE 8765
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8765/readyz')"]
CMD ["modomodo", "serve", "--host", "0.0.0.0"]

FROM base AS worker
# Decoding is compiled on a GPU (recipe: speed.compiled), which needs a C compiler.
USER root
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
USER modomodo
COPY --from=build-worker /opt/modomodo /opt/modomodo
ENV MODOMODO_DATA=/data MODOMODO_FOLDER=/data/workers
STOPSIGNAL SIGTERM
CMD ["modomodo", "worker"]
