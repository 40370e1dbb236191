"""Doctor's look at CUDA: driver and runtime, loaded in a process of their own, which a broken one may take along."""

import re
import signal
from typing import Callable, Optional, Tuple

from edge.cli.check import OK, WARNING, Check
from edge.targets import Target

#: Asks a process that runs Python code; its exit status and the last line it wrote.
Ask = Callable[[str], Tuple[int, str]]
INSTALL = "sudo apt-get install nvidia-jetpack"
#: Prints two words, of the driver and of the runtime: its version, "none", or "broken:WHY". Where a wheel or NVIDIA's
#: packages put the runtime without telling the linker, it is looked for.
CODE = """
import ctypes, ctypes.util, glob, os
root = %r
def version(names, function):
    broken = ""
    for name in names:
        try:
            number = ctypes.c_int(0)
            status = getattr(ctypes.CDLL(name), function)(ctypes.byref(number))
        except (OSError, AttributeError) as error:
            if "cannot open shared object" not in str(error) or os.path.exists(name):
                broken = "broken:" + str(error)
            continue
        if status == 0:
            return "%%d.%%d" %% (number.value // 1000, number.value %% 1000 // 10)
        broken = "broken:error %%d" %% status
    return broken or "none"
places = ("usr/local/cuda*/lib64", "usr/local/cuda*/targets/*/lib", "usr/lib/*-linux-gnu")
found = [path for place in places for path in sorted(glob.glob(os.path.join(root, place, "libcudart.so*")))]
named = [name for name in [ctypes.util.find_library("cudart")] if name]
driver = version(["libcuda.so.1"], "cuDriverGetVersion")
runtime = version(named + found, "cudaRuntimeGetVersion")
print(driver.replace(" ", "_"), runtime.replace(" ", "_"))
"""


def _number(text: str) -> Optional[Tuple[int, ...]]:
    return tuple(map(int, text.split("."))) if re.match(r"\d+\.\d+$", text) else None


def check_cuda(target: Target, ask: Ask, root: str = "/") -> Check:
    """CUDA's driver and runtime. Only where TensorRT is at home are they missed.

    ask: runs Python in a child process. root: below which the runtime is looked for beside where the linker finds it.
    """
    wanted = target.tensorrt is not None
    level, fix = (WARNING, INSTALL) if wanted else (OK, "")
    status, text = ask(CODE % root)
    words = text.split()
    if status != 0 or len(words) != 2:
        how = "signal %d" % -status if status < 0 else "exit code %d" % status
        if status < 0 and -status in set(signal.Signals):
            how = signal.Signals(-status).name
        return Check("cuda", WARNING, "a process that loads it dies (%s): %s" % (how, text[:60]), INSTALL)
    driver, runtime = words
    broken = next((word for word in words if word.startswith("broken:")), "")
    if broken:
        return Check("cuda", WARNING, broken[len("broken:"):].replace("_", " ")[:90], INSTALL)
    if driver == runtime == "none":
        if wanted:
            return Check("cuda", WARNING, "neither driver nor runtime is here, so that the GPU does nothing", INSTALL)
        return Check("cuda", OK, "not installed; only TensorRT needs it")
    if driver == "none":
        return Check("cuda", level, "runtime %s, no driver (libcuda.so.1)" % runtime, fix)
    if runtime == "none":
        return Check("cuda", level, "driver for %s, no runtime (libcudart)" % driver, fix)
    new, able = _number(runtime), _number(driver)
    if new is not None and able is not None and new[0] > able[0]:
        return Check("cuda", WARNING, "runtime %s is newer than the driver, which is for %s" % (runtime, driver),
                     "sudo apt-get update && sudo apt-get dist-upgrade")
    return Check("cuda", OK, "runtime %s, driver for %s" % (runtime, driver))
