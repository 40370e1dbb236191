"""TensorRT for RTX under TensorRT's name: NVIDIA's parser and builder, which work without a GPU, for GPUs of sm_86.

Only for tests. Its API is that of TensorRT 10 with strong typing only, as TensorRT 11 has it.
"""

import tensorrt_rtx
from tensorrt_rtx import *  # noqa: F403
from tensorrt_rtx import ILogger, __version__  # noqa: F401


class Builder(tensorrt_rtx.Builder):
    """Builds for one compute capability, because there is no GPU to ask."""

    def create_builder_config(self) -> tensorrt_rtx.IBuilderConfig:
        """A configuration for sm_86."""
        config = super().create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(tensorrt_rtx.ComputeCapability.SM86, 0)
        return config
