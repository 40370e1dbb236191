"""How well silhouettes agree with the truth: intersection over union, picture by picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as functional

from training.data.dataset import CarDataset
from training.silhouette.network import Silhouette
from training.silhouette.photos import Photo

#: RGB crops (N, S, S, 3) uint8 to how surely each pixel is the car's, (N, S, S) float32 in 0..1.
Predictor = Callable[[np.ndarray], np.ndarray]
#: Pictures at a time.
BATCH = 32


def iou(found: np.ndarray, true: np.ndarray, inside: np.ndarray | None = None) -> float:
    """Intersection over union of two masks (S, S) bool, over the pixels ``inside`` if given; 1 if both are empty."""
    if inside is not None:
        found, true = found & inside, true & inside
    union = int((found | true).sum())
    return int((found & true).sum()) / union if union else 1.0


def predictor(network: Silhouette, device: torch.device | str = "cpu") -> Predictor:
    """The network as a predictor; crops of another size are brought to its own and back."""
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (network.mean, network.std))

    @torch.no_grad()
    def predict(crops: np.ndarray) -> np.ndarray:
        size, given = network.input_size, crops.shape[1]
        image = torch.from_numpy(np.ascontiguousarray(crops)).to(device).permute(0, 3, 1, 2).float() / 255
        if given != size:
            image = functional.interpolate(image, size=(size, size), mode="area")
        likely = network((image - mean) / std).float().sigmoid()
        if given != size:
            likely = functional.interpolate(likely, size=(given, given), mode="bilinear", align_corners=False)
        return likely[:, 0].cpu().numpy()

    return predict


def score(predict: Predictor, crops: np.ndarray, masks: np.ndarray, inside: np.ndarray | None = None) -> list[float]:
    """IoU of each of N crops (N, S, S, 3) uint8 with its true mask (N, S, S) uint8."""
    scores = []
    for start in range(0, len(crops), BATCH):
        found = predict(crops[start : start + BATCH]) > 0.5
        for row, mask in enumerate(found, start):
            scores.append(iou(mask, masks[row] > 127, None if inside is None else inside[row]))
    return scores


def score_photos(predict: Predictor, photos: Sequence[Photo], size: int) -> list[float]:
    """IoU of each photo's crop with the teacher's mask, where it lies within the photo."""
    crops = [photo.judged(size) for photo in photos]
    return score(predict, *(np.stack([crop[part] for crop in crops]) for part in range(3))) if crops else []


class Validation:
    """The same pictures of held-out bodies each time, spread evenly over the set, and the photos kept for judging."""

    def __init__(self, data: CarDataset, photos: Sequence[Photo], pictures: int) -> None:
        rows = np.linspace(0, len(data) - 1, min(pictures, len(data))).astype(int)
        self.images, self.masks = data.images[rows], data.masks[rows]
        self.conditions = [data.conditions[row] for row in rows]
        self.photos = photos

    def figures(self, network: Silhouette, device: torch.device | str = "cpu") -> dict[str, float]:
        """Mean IoU of all pictures, of each condition's, and of the photos if there are any."""
        predict = predictor(network, device)
        scores = score(predict, self.images, self.masks)
        figures = {"iou": float(np.mean(scores))} | {
            f"iou_{name}": mean(s for s, c in zip(scores, self.conditions, strict=True) if c == name)
            for name in sorted(set(self.conditions))
        }
        if self.photos:
            figures["iou_photos"] = mean(score_photos(predict, self.photos, self.images.shape[1]))
        return figures


def mean(values: Iterable[float]) -> float:
    """Of at least one value."""
    return float(np.mean(list(values)))
