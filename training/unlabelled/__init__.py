"""Fine-tuning the flagship on photos of cars whose shape nobody knows (docs/unlabelled.md)."""
