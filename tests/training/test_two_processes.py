"""Several processes train as one does with the same global batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT
from tests.training.data_samples import car_shards
from tests.training.toys import SMALL
from training import checkpoint, curve
from training.data.dataset import load_dataset
from training.distributed import Place, start
from training.loop import Losses, Trainer
from training.morphable import registered
from training.networks import build
from training.settings import Settings, Stage

#: As the shipped network is: from ImageNet, so that statistics rest. (At random weights, resting ones let nothing
#: through.) No dropout, which each process draws for itself.
ARGUMENTS = {**SMALL, "pretrained": True, "dropout": 0.0}
SETTINGS = Settings(
    "morphable", (Stage("all", 5, batch=8, learning_rate=5e-5, warm_up=1),), arguments=ARGUMENTS,
    rates={"encoder": 0.5}, validate_every=5, checkpoint_seconds=1e9,
)  # fmt: skip
#: The encoder rests in the second stage and learns again in the third.
STAGES = Settings(
    "lin2018", (
        Stage("code", 1, loss="code", batch=4), Stage("coarse", 1, map_size=64, batch=4, freeze_encoder=True),
        Stage("fine", 2, map_size=64, batch=4),
    ), validate_every=100,
)  # fmt: skip
MORPHABLE = """
import json, sys, torch
from pathlib import Path
from tests.training.test_two_processes import train
from training import distributed
place = distributed.start(1)
assert place.world == 2
losses, trainer = train(Path(sys.argv[1]), Path(sys.argv[2]), place)
mean = torch.tensor(losses)
torch.distributed.all_reduce(mean)
everything = [p.detach().flatten() for p in trainer.objective.parameters()]
total = torch.cat([*everything, *(v.double().flatten() for v in trainer.average.state_dict().values())])
both = [torch.zeros_like(total) for _ in range(2)]
torch.distributed.all_gather(both, total)
assert torch.equal(*both), "the processes have drifted apart"
if place.first:
    (Path(sys.argv[2]) / "losses.json").write_text(json.dumps((mean / 2).tolist()))
distributed.stop(place)
"""
LIN2018 = """
import sys, torch
from pathlib import Path
from tests.training.test_two_processes import STAGES
from tests.training.toys import toy_data
from training import distributed
from training.loop import Trainer
place = distributed.start(1)
assert place.world == 2
trainer = Trainer(STAGES, toy_data(2, 3), toy_data(1, 3, seed=1), Path(sys.argv[1]), place)
trainer.train()
total = sum(p.double().sum() for p in trainer.network.parameters()).reshape(1)
both = [torch.zeros_like(total) for _ in range(2)]
torch.distributed.all_gather(both, total.detach())
assert torch.equal(both[0], both[1]), both
distributed.stop(place)
"""


def train(root: Path, run: Path, place: Place) -> tuple[list[float], Trainer]:
    """A short run; the losses of its steps, of this process's part of the batch."""
    registered.POINTS = SMALL["points"]  # type: ignore[misc]
    data, validation = (load_dataset(root, split, 80, novel=False, fixed=False) for split in ("train", "validation"))
    trainer = Trainer(SETTINGS, data, validation, run, place, root, 1)
    losses: list[float] = []
    update = trainer._update

    def watch(*arguments: object) -> Losses:
        found = update(*arguments)  # type: ignore[arg-type]
        losses.append(found["total"].item())
        return found

    trainer._update = watch  # type: ignore[method-assign]
    trainer.train()
    return losses, trainer


def torchrun(script: str, folder: Path, *arguments: Path) -> None:
    """Run a script in two gloo processes."""
    (folder / "two.py").write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(folder / "two.py"), *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True,
        text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_learn_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered, "POINTS", registered.POINTS)  # put back what train() changes
    root, one, two = (tmp_path / name for name in ("shards", "one", "two"))
    for folder in (root, one, two):
        folder.mkdir()
    car_shards(root)
    losses, trainer = train(root, one, start())
    fresh = build("morphable", **ARGUMENTS).encoder.state_dict()
    moved = [(value - fresh[name]).abs().max() for name, value in trainer.average.encoder.state_dict().items()]
    assert max(moved) > 5e-5, "ten times what is allowed below, so that it would show"
    torchrun(MORPHABLE, tmp_path, root, two)
    assert json.loads((two / "losses.json").read_text()) == pytest.approx(losses, rel=1e-5)
    ends = [checkpoint.load(folder / "last.pt") for folder in (one, two)]
    assert ends[0]["samples"] == ends[1]["samples"] == 40
    for kind in ("training_average", "average", "objective"):
        for name, value in ends[0][kind].items():
            assert (value - ends[1][kind][name]).abs().max().item() < 1e-5, (kind, name)
    rows = [curve.read(folder / "curve.csv") for folder in (one, two)]
    for key in ("pred_to_gt", "gt_to_pred", "score"):
        assert float(rows[0][0][key]) == pytest.approx(float(rows[1][0][key]), rel=1e-4)


def test_two_processes_run_through_lin2018_s_stages(tmp_path: Path) -> None:
    """Both finish, one writes, and the weights are the same: each normalises its own part of the batch."""
    torchrun(LIN2018, tmp_path, tmp_path)
    assert checkpoint.load(tmp_path / "last.pt")["step"] == 4
