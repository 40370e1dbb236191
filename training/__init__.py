"""Meshes to renders to networks to benchmark. Runs on a workstation (Python >= 3.10, torch)."""
