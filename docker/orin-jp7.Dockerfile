# carcloud on Jetson Orin, JetPack 7.2
# Made from device.Dockerfile.in by docker/images.py: change these two, then type: python docker/images.py
# The base holds CUDA and TensorRT, the host the driver. Not built on this base yet; others ran it on a Thor.
ARG BASE=nvcr.io/nvidia/tensorrt:26.07-py3

# --- the device wheel and what it needs, in an environment that sees the base's own TensorRT and OpenCV ---------------
FROM ${BASE} AS wheel
ARG DEBIAN_FRONTEND=noninteractive
ARG PYTHON_VERSION=3.12
# Packages of the list of versions that a base without OpenCV for this Python needs: opencv-python-headless.
ARG EXTRA=
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -c "import sys; v = '%d.%d' % sys.version_info[:2]; \
sys.exit(None if v == '${PYTHON_VERSION}' else 'error: Python here is %s and ${PYTHON_VERSION} is wanted: another BASE?' % v)"
WORKDIR /build
COPY docker/constraints-numpy1.txt ./constraints.txt
RUN python3 -m venv --system-site-packages /opt/carcloud \
    && /opt/carcloud/bin/pip install --no-cache-dir pip==26.1 setuptools==84.2.1 wheel==0.48.0 flit_core==3.12.0 \
    && /opt/carcloud/bin/pip install --no-cache-dir --only-binary :all: -c constraints.txt \
        numpy Flask onnxruntime ${EXTRA}
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY edge ./edge
RUN /opt/carcloud/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/carcloud/bin/pip install --no-cache-dir --no-deps dist/carcloud-*.whl

# --- what gives TensorRT the GPU's memory ---------------------------------------------------------------------------
FROM wheel AS gpu
RUN /opt/carcloud/bin/pip install --no-cache-dir --only-binary :all: -c constraints.txt cuda-bindings==13.0.3

# --- the image ------------------------------------------------------------------------------------------------------
FROM ${BASE}
LABEL org.opencontainers.image.title="carcloud orin-jp7" \
      org.opencontainers.image.licenses="Apache-2.0"
ARG DEBIAN_FRONTEND=noninteractive
# OpenCV with GStreamer, which reads cameras. Empty: the base has it, or EXTRA brings one.
ARG OPENCV="python3-opencv"
COPY docker/jetpack-packages /usr/local/sbin/
# hadolint ignore=SC2086
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 libgomp1 \
        gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
    && /usr/local/sbin/jetpack-packages "" ${OPENCV} \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --user-group --create-home --uid 900 --groups video carcloud \
    && mkdir -p /var/cache/carcloud /var/lib/carcloud \
    && chown carcloud:carcloud /var/cache/carcloud /var/lib/carcloud \
    && chmod 700 /var/lib/carcloud
COPY --from=gpu /opt/carcloud /opt/carcloud
COPY docker/entrypoint /usr/local/bin/carcloud-entrypoint
COPY docker/healthcheck.py /usr/local/lib/carcloud/healthcheck.py
# OPENBLAS_CORETYPE: NumPy 1.19.5 ends with "Illegal instruction" on a Nano without it (numpy #18131).
# Open to the container's network only, so it wants a token; the host publishes the port where it likes.
# hadolint ignore=DL3064 # the token's path, not the token
ENV PATH=/opt/carcloud/bin:/usr/local/cuda/bin:${PATH} \
    OPENBLAS_CORETYPE=ARMV8 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=all \
    CARCLOUD_ENGINES=/var/cache/carcloud \
    CARCLOUD_HOST=0.0.0.0 \
    CARCLOUD_PORT=8000 \
    CARCLOUD_TOKEN_FILE=/var/lib/carcloud/token
# carcloud, by number for who checks that it is not root.
USER 900
WORKDIR /home/carcloud
VOLUME ["/var/cache/carcloud", "/var/lib/carcloud"]
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=6s --start-period=2m --retries=3 \
    CMD ["python3", "/usr/local/lib/carcloud/healthcheck.py"]
ENTRYPOINT ["/usr/local/bin/carcloud-entrypoint", "orin-jp7"]
CMD ["serve"]
