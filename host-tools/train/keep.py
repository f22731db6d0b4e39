"""What a model learns from itself: to say of texts what it said of them before it began to learn something else.

Of the kinds that it does well already it gets no references, but for every token of a summary the probabilities that it
gave itself before (learning without forgetting, Li and Hoiem 2016). At the beginning the gradient of that is zero, and there
is none of the noise of drawn summaries: where nothing conflicts, nothing is lost.
"""

import copy
import random

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from batches import Batch, Encoder, Epoch
from model import Jamba
from precision import fast
from train import yield_core

TEXT_SHARE = 0.1  # of the texts' tokens are asked about


def endless(rows: list[dict], encoder: Encoder, names, *, seed: int, epochs=Epoch, **options):
    """Batches of these rows without end, from epochs of this kind; options as for `Epoch`."""
    rng = random.Random(seed)
    while True:
        epoch = epochs(rows, encoder, names, seed=rng.randrange(2**32), **options)
        yield from DataLoader(epoch, batch_size=None, num_workers=1, prefetch_factor=64, worker_init_fn=yield_core)


def predictions(model: Jamba, batch: Batch, chosen) -> torch.Tensor:
    """Logits for each chosen (bool, (B, T)) token, in order."""
    with fast():
        return model.head(model.hidden_states(batch.tokens[:, :-1])[chosen[:, 1:]]).float()


class Keep:
    """A copy of a model as it is now, whose word others keep to."""

    def __init__(self, model: Jamba):
        self.teacher = copy.deepcopy(model).requires_grad_(False).eval()
        for layer in self.teacher.layers:
            layer.compile_parts()

    def loss(self, model: Jamba, batch: Batch) -> torch.Tensor:
        """Mean divergence from the teacher in nats, over a batch's summaries and some tokens of its texts."""
        chosen = batch.summary | batch.text & (torch.rand(batch.text.shape) < TEXT_SHARE)
        with torch.no_grad():
            wanted = predictions(self.teacher, batch, chosen).log_softmax(-1)
        found = predictions(model, batch, chosen).log_softmax(-1)
        return F.kl_div(found, wanted, reduction="batchmean", log_target=True)
