"""Network to bundle: ONNX, checks, golden outputs. Runs on a workstation (Python >= 3.10)."""
