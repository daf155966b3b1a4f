# syntax=docker/dockerfile:1
# Kaiwa in a container. docs/operations.md says how to run it.
#   docker build -t kaiwa .                                                             for CPUs
#   docker build -t kaiwa:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS="ja otel zh"
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    PATH=/opt/venv/bin:$PATH
WORKDIR /opt/kaiwa
RUN python -m venv /opt/venv
# What rarely changes first: the libraries, by the names in pyproject.toml and the exact versions of
# the lock file. torch comes from its own index, which says for which machines it was built.
COPY pyproject.toml constraints.txt ./
COPY tools/list_requirements.py tools/
RUN python tools/list_requirements.py ${EXTRAS} > requirements.txt
RUN pip install "$(grep '^torch==' constraints.txt)" --index-url "${TORCH_INDEX}"
RUN pip install -r requirements.txt -c constraints.txt
COPY LICENSE README.md ./
COPY server server
COPY engine engine
COPY clients clients
COPY configs configs
RUN pip install --no-deps -e . && python -m compileall -q server engine clients

FROM python:${PYTHON}-slim
# tini passes signals on and reaps; g++ compiles the CPU's kernels for the processor that it finds
# itself on, once, into the cache volume (on a GPU Triton needs a C compiler likewise).
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 kaiwa \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/kaiwa \
        --shell /usr/sbin/nologin kaiwa \
    && install -d -m 0700 -o kaiwa -g kaiwa /var/lib/kaiwa /var/cache/kaiwa \
    && install -d -m 0755 -o kaiwa -g kaiwa /models
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/kaiwa /opt/kaiwa
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/kaiwa XDG_STATE_HOME=/var/lib XDG_CACHE_HOME=/var/cache HF_HOME=/models \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    KAIWA_LISTEN_HOST=0.0.0.0 KAIWA_LISTEN_PORT=8000 KAIWA_LISTEN_ADMIN_PORT=9100 \
    KAIWA_LOG_FORMAT=json
# Everything that is written; the rest of the file system may be read-only, with a tmpfs at /tmp.
VOLUME ["/var/lib/kaiwa", "/var/cache/kaiwa", "/models"]
WORKDIR /opt/kaiwa
USER 10001:10001
EXPOSE 8000 9100
STOPSIGNAL SIGTERM
# The admin port speaks plain HTTP whatever the other one does. Loading a model may take minutes.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['KAIWA_LISTEN_ADMIN_PORT']}/readyz\", timeout=4)"]
# Without API keys it refuses to listen where others can reach it, and says so.
ENTRYPOINT ["tini", "--", "kaiwa"]
CMD ["serve"]
