"""A GPU, its memory and TensorRT, without either: what the fake modules beside this folder are made of.

Memory of the device is memory of the host, known by its address. An engine is b"FAKETRT", a JSON header and the ONNX
file; running it runs the file in onnxruntime on what lies at the addresses. Names, keywords, failures and log lines
are those of the real modules; where a version has no such name, neither has its fake (generations.py). Names that
nothing here needs (layers to add, plugins, profiles, calibrators) are left out, so a fake has fewer names than the
module, never more.

What is true of the machine and of the build is told by environment variables, which reach child processes:

FAKE_GPU         name of the device                                       "Orin (nvgpu)"
FAKE_CC          compute capability                                       "8.7"
FAKE_GPU_MIB     memory of the device, MiB                                "7620"
FAKE_INTEGRATED  1: the device shares the host's memory                   "1"
FAKE_FAST_FP16   what platform_has_fast_fp16 says                         1 from 5.3 on, but for 6.1
FAKE_FAST_INT8   what platform_has_fast_int8 says                         1 from 6.1 on, but for 6.2
FAKE_BUILD       one or more of these, with commas between                "ok"
    ok           the build succeeds
    slow=SECONDS it takes so long
    killed       half way the process gets SIGKILL, as from the kernel when memory runs out
    oom          no tactic fits the memory: log lines, then None
    oom=MIB      the same where the workspace may be larger than MIB
    crash        raises RuntimeError
    refuse       the parser knows no importer for the last node
FAKE_NOISE       error of an engine's outputs by its precision, uniform   "" ("fp16=0.02,int8=0.5")
FAKE_RUN         "fail": executing logs a CUDA error and returns False    "ok"
FAKE_NO_GPU      1: there is no driver                                    "0"
"""
