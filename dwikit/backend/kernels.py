"""Faster forms of the same arithmetic on a CPU: equal to the plain ones within rounding (``test_kernels.py``).

* ``Conv2D``: a 3 x 3 convolution and the doubling before it, or the halving after it, as one convolution of stride 2.
* ``BatchNormalization``: the backend's own kernel, which reads the images twice instead of nine times.
* ``GroupNormalization`` and ``normalize_each``: the same kernel, with the channels of all images side by side.
* ``Adam``: the backend's own kernel, which passes over a variable once.

All but the first depend on the backend, like ``gradients.py`` and ``distribution.py``; on other backends they are Keras's.
Every layer keeps the name, weights and file format of the Keras layer that it replaces.
"""

import keras
import numpy as np
from keras import layers, ops

from dwikit.backend import distribution

register = keras.saving.register_keras_serializable("dwikit")
BACKEND = keras.backend.backend()


# ==== Convolution with resampling ====

_SHIFTS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]], np.float32)
SPREAD = np.kron(_SHIFTS, _SHIFTS)
"""(16, 9): maps a 3 x 3 kernel to the 4 x 4 sum of its four shifts within a 2 x 2 square."""


def spread(kernel):
    """(3, 3, C, K) -> (4, 4, C, K)."""
    channels = kernel.shape[2:]
    summed = ops.matmul(ops.cast(SPREAD, kernel.dtype), ops.reshape(kernel, (9, channels[0] * channels[1])))
    return ops.reshape(summed, (4, 4, *channels))


@register
class Conv2D(layers.Conv2D):
    """A 3 x 3 convolution that also doubles or halves: (B, H, W, C) -> (B, 2 H, 2 W, K) or (B, H / 2, W / 2, K).

    Repeating every pixel twice along both axes and convolving is a transposed convolution of stride 2 whose kernel is
    ``spread(kernel)``, rotated by 180 degrees; convolving and averaging over 2 x 2 pixels is a convolution of stride 2 with
    a quarter of it. Both take 4/9 of the multiplications. The learned kernel stays 3 x 3.

    Args:
        filters: K.
        resample: ``"up"`` (nearest neighbour, before the convolution) or ``"down"`` (average, after it).
        **settings: of the Keras layer.
    """

    def __init__(self, filters: int, resample: str, **settings):
        super().__init__(filters, **{**settings, "kernel_size": 3, "padding": "same"})
        self.resample = resample

    def build(self, input_shape):
        """Create the kernel, and choose the form: summing kernels costs per channel and saves per pixel."""
        super().build(input_shape)
        pixels, pairs = input_shape[1] * input_shape[2], input_shape[3] * self.filters
        self.one_step = 512 * pixels >= pairs

    def convolution_op(self, inputs, kernel):
        """The convolution with its doubling or halving."""
        if not self.one_step:
            return self._in_two_steps(inputs, kernel)
        if self.resample == "down":
            return ops.conv(inputs, 0.25 * spread(kernel), strides=2, padding="same")
        turned = ops.flip(ops.transpose(spread(kernel), (0, 1, 3, 2)), (0, 1))
        return ops.conv_transpose(inputs, turned, strides=2, padding="same")

    def _in_two_steps(self, inputs, kernel):
        if self.resample == "down":
            return ops.average_pool(ops.conv(inputs, kernel, padding="same"), 2)
        return ops.conv(ops.repeat(ops.repeat(inputs, 2, axis=1), 2, axis=2), kernel, padding="same")

    def compute_output_shape(self, input_shape):
        """The input's shape, twice or half as large."""
        n, height, width, _ = input_shape
        sides = (2 * height, 2 * width) if self.resample == "up" else (height // 2, width // 2)
        return (n, *sides, self.filters)

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "resample": self.resample}


# ==== Batch normalization ====

HALF_VECTOR = 16
"""Channels that oneDNN normalizes at once in bfloat16."""


@register
class BatchNormalization(layers.BatchNormalization):
    """Keras's batch normalization over all axes but the last; in training, by the backend's kernel if it has one."""

    def call(self, inputs, training=None):
        """Normalize (B, H, W, C), and update the statistics."""
        if BACKEND != "tensorflow" or not (training and self.trainable):
            return super().call(inputs, training=training)
        vectors = inputs.shape[-1] % HALF_VECTOR == 0  # else the kernel has only a slow form for 16 bits
        x = ops.cast(inputs, self.compute_dtype if vectors else "float32")
        outputs, mean, variance = _normalize(x, self.gamma, self.beta, self.epsilon)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)


# ==== Normalization of each image ====


@register
class GroupNormalization(layers.GroupNormalization):
    """Keras's group normalization over the last axis; in training, by the backend's kernel if it has one."""

    def call(self, inputs, training=None):
        """Normalize (B, H, W, C) over the pixels and over each group of neighbouring channels."""
        if not (training and CAN_NORMALIZE_EACH):
            return super().call(inputs)
        x = _for_kernel(inputs, self.compute_dtype)
        outputs = _normalize_groups(x, self.gamma.value, self.beta.value, self.groups, self.epsilon)
        return ops.cast(outputs, self.compute_dtype)


def normalize_each(x, scale, offset, epsilon: float, training: bool = False):
    """Every channel of every image (B, H, W, C) with mean 0 and variance 1 over its pixels, times scale, plus offset (B, C)."""
    scale, offset = (ops.cast(one, "float32") for one in (scale, offset))
    if training and CAN_NORMALIZE_EACH:
        return ops.cast(_normalize_each(_for_kernel(x, x.dtype), scale, offset, epsilon), x.dtype)
    mean, variance = ops.moments(ops.cast(x, "float32"), axes=(1, 2), keepdims=True)
    scale = scale[:, None, None] * ops.rsqrt(variance + epsilon)
    return ops.cast(ops.cast(x, "float32") * scale + (offset[:, None, None] - mean * scale), x.dtype)


def _for_kernel(x, dtype: str):
    """In the type that the kernel takes: it has only a slow form for 16 bits unless channels come in whole vectors."""
    return ops.cast(x, dtype if x.shape[-1] % HALF_VECTOR == 0 else "float32")


CAN_NORMALIZE_EACH = False
"""Whether the backend has the kernel: TensorFlow on a CPU."""


# ==== Adam ====

Adam = keras.optimizers.Adam

if BACKEND == "tensorflow":
    import tensorflow as tf

    def _normalize(x, scale, offset, epsilon: float):
        """Normalized x, mean and variance over all axes but the last, and over all devices."""
        if distribution.replicas() > 1:
            x = tf.cast(x, tf.float32)
            axes = list(range(len(x.shape) - 1))
            mean = distribution.average(tf.reduce_mean(x, axes))
            variance = distribution.average(tf.reduce_mean(tf.square(x - mean), axes))
            return tf.nn.batch_normalization(x, mean, variance, offset.value, scale.value, epsilon), mean, variance
        nothing = tf.zeros((0,))
        outputs, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale.value, offset=offset.value, mean=nothing, variance=nothing, epsilon=epsilon, is_training=True
        )
        n = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
        return outputs, mean, unbiased * (tf.maximum(n - 1.0, 1.0) / n)

    CAN_NORMALIZE_EACH = not tf.config.list_physical_devices("GPU")

    def _side_by_side(x):
        """(B, H, W, C) -> (1, H, W, B * C)."""
        n, height, width, channels = tf.unstack(tf.shape(x))
        return tf.reshape(tf.transpose(x, (1, 2, 0, 3)), (1, height, width, n * channels))

    def _one_by_one(x, shape):
        """The way back, to a shape (B, H, W, C)."""
        n, height, width, channels = tf.unstack(shape)
        return tf.transpose(tf.reshape(x, (height, width, n, channels)), (2, 0, 1, 3))

    def _kernel(x, scale, offset, epsilon: float, mean=None, variance=None):
        """The batch normalization of (1, H, W, K) and its statistics, or one by the statistics given."""
        given = mean is not None
        mean, variance = (mean, variance) if given else (tf.zeros((0,)), tf.zeros((0,)))
        return tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=not given
        )

    def _normalize_each(x, scale, offset, epsilon: float):
        """``normalize_each`` of x in the kernel's type."""
        outputs, *_ = _kernel(_side_by_side(x), tf.reshape(scale, (-1,)), tf.reshape(offset, (-1,)), epsilon)
        return tf.ensure_shape(_one_by_one(outputs, tf.shape(x)), x.shape)

    def _normalize_groups(x, scale, offset, groups: int, epsilon: float):
        """Group normalization of x in the kernel's type; the statistics of a group are those of its channels, combined."""
        shape, channels = tf.shape(x), x.shape[-1]
        n, pixels = shape[0], tf.cast(shape[1] * shape[2], tf.float32)

        def grouped(values):
            """The mean of each group, given to each of its channels: (B * C,)."""
            means = tf.reduce_mean(tf.reshape(values, (n, groups, channels // groups)), axis=2)
            return tf.reshape(tf.repeat(means, channels // groups, axis=1), (-1,))

        @tf.custom_gradient
        def normalized(x, scale, offset):
            beside, scales, offsets = _side_by_side(x), tf.tile(scale, (n,)), tf.tile(offset, (n,))
            _, own_mean, unbiased, *_ = _kernel(beside, scales, offsets, epsilon)
            mean = grouped(own_mean)
            variance = grouped(unbiased * (tf.maximum(pixels - 1.0, 1.0) / pixels) + tf.square(own_mean - mean))
            outputs, *_ = _kernel(beside, scales, offsets, epsilon, mean, variance)

            def gradient(upstream):
                direct, by_scale, by_offset, *_ = tf.raw_ops.FusedBatchNormGradV3(
                    y_backprop=_side_by_side(upstream),
                    x=beside,
                    scale=scales,
                    reserve_space_1=mean,
                    reserve_space_2=variance,
                    reserve_space_3=tf.zeros((0,)),
                    epsilon=epsilon,
                    is_training=False,
                )
                # Through the statistics: - (mean of g + x' * mean of g x') / sd, with g the gradient at x', the normalized x.
                inverse = -tf.math.rsqrt(variance + epsilon) / pixels
                through, *_ = _kernel(
                    beside, inverse * grouped(scales * by_scale), inverse * grouped(scales * by_offset), epsilon, mean, variance
                )
                sums = (tf.reduce_sum(tf.reshape(one, (n, channels)), axis=0) for one in (by_scale, by_offset))
                return _one_by_one(direct + through, shape), *sums

            return _one_by_one(outputs, shape), gradient

        return tf.ensure_shape(normalized(x, tf.convert_to_tensor(scale), tf.convert_to_tensor(offset)), x.shape)

    @register
    class Adam(keras.optimizers.Adam):
        """Keras's Adam, one kernel per variable."""

        def update_step(self, gradient, variable, learning_rate):
            """Update one variable."""
            steps = tf.cast(self.iterations + 1, tf.float32)
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._momentums[index].handle,
                v=self._velocities[index].handle,
                beta1_power=tf.pow(self.beta_1, steps),
                beta2_power=tf.pow(self.beta_2, steps),
                lr=tf.cast(learning_rate, tf.float32),
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=gradient,
            )
