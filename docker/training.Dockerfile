# Training, export and benchmark of carcloud on an NVIDIA GPU, or without one. PyTorch brings its own CUDA libraries, so
# that the base needs no more than the driver's hooks; Ubuntu 24.04 gives Python 3.12. Not built on this base yet.
ARG BASE=nvidia/cuda:13.0.2-base-ubuntu24.04

FROM ${BASE}
LABEL org.opencontainers.image.title="carcloud training" \
      org.opencontainers.image.licenses="Apache-2.0"
ARG DEBIAN_FRONTEND=noninteractive
# Another set of extras of pyproject.toml makes a smaller image: "cpu,export".
ARG EXTRAS=cpu,train,export
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv ca-certificates \
        libegl1 libgl1 libgl1-mesa-dri libglib2.0-0 libgomp1 libusb-1.0-0 libx11-6 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /carcloud
RUN python3 -m venv /opt/training \
    && /opt/training/bin/pip install --no-cache-dir pip==26.1 setuptools==84.2.1 wheel==0.48.0 flit_core==3.12.0
COPY constraints.txt pyproject.toml README.md LICENSE NOTICE ./
COPY edge ./edge
RUN /opt/training/bin/pip install --no-cache-dir --no-build-isolation -c constraints.txt -e ".[${EXTRAS}]"
COPY export ./export
COPY training ./training
RUN useradd --system --user-group --create-home --uid 900 --groups video carcloud \
    && mkdir data runs out && chown carcloud:carcloud data runs out
# graphics: renders are drawn with EGL.
ENV PATH=/opt/training/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics
# carcloud, by number for who checks that it is not root.
USER 900
VOLUME ["/carcloud/data", "/carcloud/runs", "/carcloud/out"]
# It serves nothing: there is nothing to ask.
HEALTHCHECK NONE
ENTRYPOINT ["python3", "-m"]
CMD ["training", "--help"]
