"""Batches of slices for training. This module imports Keras, and with it Keras's backend."""

import functools

import keras
import numpy as np

from dwikit.common.errors import InputError


class Batches(keras.utils.PyDataset):
    """Shuffled batches (B, H, W, 1) float32 in [0, 1]; their order is a pure function of (seed, epoch).

    Args:
        images: (N, H, W) uint8.
        rows: positions of the slices to serve.
        batch_size: slices per batch.
        seed: of the order.
        flip: mirror a random half of the slices left to right.
        steps: batches per epoch; None means one pass over the rows.

    Raises:
        InputError: fewer rows than one batch needs.
    """

    def __init__(self, images: np.ndarray, rows: np.ndarray, batch_size: int, seed: int, flip: bool, steps: int | None):
        super().__init__()
        if batch_size < 1 or len(rows) < batch_size:
            raise InputError(
                f"A batch of {batch_size} does not fit a split of {len(rows)} slices. Choose a smaller batch_size, or prepare "
                "more people."
            )
        self.images, self.rows = images, rows
        self.batch_size, self.seed, self.flip, self.epoch = batch_size, seed, flip, 0
        self.steps = steps or len(rows) // batch_size

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> np.ndarray:
        position = (self.epoch * self.steps + step) * self.batch_size
        rows = self.rows[[self._shuffled(position + i) for i in range(self.batch_size)]]
        batch = self.images[rows].astype(np.float32)[..., None] / 255
        if self.flip:
            mirrored = np.random.default_rng([self.seed, 1, position]).random(self.batch_size) < 0.5
            batch[mirrored] = batch[mirrored, :, ::-1]
        return batch

    def _shuffled(self, position: int) -> int:
        """Slice at a position in the endless sequence of shuffled passes over the split."""
        shuffle, index = divmod(position, len(self.rows))
        return _permutation(self.seed, shuffle, len(self.rows))[index]

    def on_epoch_end(self) -> None:
        """Go to the next epoch; called by Keras."""
        self.epoch += 1


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, shuffle: int, n: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, shuffle]).permutation(n)


def as_dataset(batches: Batches):
    """The same batches as a ``tf.data.Dataset`` with prefetching; each pass over it is the next epoch."""
    import tensorflow as tf

    def one_epoch():
        yield from (batches[step] for step in range(len(batches)))
        batches.on_epoch_end()

    shape = (batches.batch_size, *batches.images.shape[1:], 1)
    dataset = tf.data.Dataset.from_generator(one_epoch, output_signature=tf.TensorSpec(shape, tf.float32))
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(tf.data.AUTOTUNE)
