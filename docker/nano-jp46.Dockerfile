# carcloud on Jetson Nano, JetPack 4.6.1 to 4.6.6
# Made from device.Dockerfile.in by docker/images.py: change these two, then type: python docker/images.py
# CUDA, cuDNN and TensorRT are the host's: NVIDIA's container runtime mounts them. Not built on this base yet.
ARG BASE=nvcr.io/nvidia/l4t-base:r32.7.1

# --- the device wheel and what it needs, in an environment that sees the base's own TensorRT and OpenCV ---------------
FROM ${BASE} AS wheel
ARG DEBIAN_FRONTEND=noninteractive
ARG PYTHON_VERSION=3.6
# Packages of the list of versions that a base without OpenCV for this Python needs: opencv-python-headless.
ARG EXTRA=
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -c "import sys; v = '%d.%d' % sys.version_info[:2]; \
sys.exit(None if v == '${PYTHON_VERSION}' else 'error: Python here is %s and ${PYTHON_VERSION} is wanted: another BASE?' % v)"
WORKDIR /build
COPY constraints-py36.txt ./constraints.txt
RUN python3 -m venv --system-site-packages /opt/carcloud \
    && /opt/carcloud/bin/pip install --no-cache-dir pip==21.3.1 setuptools==59.6.0 wheel==0.37.1 flit_core==3.12.0 \
    && /opt/carcloud/bin/pip install --no-cache-dir --only-binary :all: -c constraints.txt \
        numpy Flask onnxruntime ${EXTRA}
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY edge ./edge
RUN /opt/carcloud/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/carcloud/bin/pip install --no-cache-dir --no-deps dist/carcloud-*.whl

# --- what gives TensorRT the GPU's memory ---------------------------------------------------------------------------
FROM wheel AS gpu
ARG DEBIAN_FRONTEND=noninteractive
# Empty: an image that can use ONNX Runtime only.
ARG PYCUDA=pycuda==2022.1
COPY docker/constraints-pycuda.txt docker/install-pycuda ./
RUN if [ -z "${PYCUDA}" ]; then echo "no pycuda: this image will not use TensorRT"; else \
    apt-get update && apt-get install -y --no-install-recommends g++ python3-dev \
    && rm -rf /var/lib/apt/lists/* && ./install-pycuda "${PYCUDA}"; fi

# --- the image ------------------------------------------------------------------------------------------------------
FROM ${BASE}
LABEL org.opencontainers.image.title="carcloud nano-jp46" \
      org.opencontainers.image.licenses="Apache-2.0"
ARG DEBIAN_FRONTEND=noninteractive
# OpenCV with GStreamer, which reads cameras. Empty: the base has it, or EXTRA brings one.
ARG OPENCV="libopencv-python=4.1.1-2-gd5a58aa75"
COPY docker/jetpack-packages /usr/local/sbin/
# hadolint ignore=SC2086
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 libgomp1 \
        gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
    && /usr/local/sbin/jetpack-packages "common r32.7 main" ${OPENCV} \
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
ENTRYPOINT ["/usr/local/bin/carcloud-entrypoint", "nano-jp46"]
CMD ["serve"]
