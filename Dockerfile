# syntax=docker/dockerfile:1
# Two images from one file: `--target service` (CPU torch, no trainer) and `--target worker`.

FROM python:3.11-slim AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 HOME=/data
WORKDIR /app
RUN useradd --uid 10001 --home-dir /data modomodo && mkdir /data && chown modomodo /data
COPY pyproject.toml constraints.txt README.md ./
COPY modomodo modomodo
COPY service service
COPY db db
COPY rewards rewards
COPY trainer trainer
COPY alembic alembic

FROM base AS service
# The surrogates need torch, not CUDA.
RUN pip install --extra-index-url https://download.pytorch.org/whl/cpu \
    -c constraints.txt '.[service,postgres]'
USER modomodo
VOLUME /data
EXPOSE 8765
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8765/readyz')"]
CMD ["modomodo", "serve", "--host", "0.0.0.0", "--database", "sqlite:////data/modomodo.db"]

FROM base AS worker
RUN pip install -c constraints.txt '.[trainer]'
ENV MODOMODO_DATA=/data
USER modomodo
VOLUME /data
STOPSIGNAL SIGTERM
CMD ["modomodo", "worker"]
