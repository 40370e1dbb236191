"""Stands in for cuda-python 12.6: one package, `from cuda import cudart`."""
