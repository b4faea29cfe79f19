"""The gradient seam: with ``kernels.py``, ``distribution.py`` and ``machines.py`` the only file that names a backend.

A ``training_step`` is written once, with ``keras.ops``. What differs between backends is how a gradient is taken and how
the trainer calls a step, and both are here:

* TensorFlow: ``GradientTape``. The trainer calls ``train_step(data)``.
* PyTorch: ``torch.autograd.grad``. The trainer calls ``train_step(data)``.
* JAX: ``value_and_grad`` of a pure function, made pure by ``keras.StatelessScope``. The trainer calls
  ``train_step(state, data)`` and reads ``model.optimizer.variables``, so several optimizers must look like
  one (``OptimizerGroup``).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import keras
from keras import ops

from dwikit.backend import distribution
from dwikit.common.errors import InputError

BACKEND = keras.backend.backend()

MUST_COMPILE = BACKEND == "jax"
"""Whether a step must be compiled: JAX dispatches every uncompiled operation on its own, some fifty times slower."""

CAN_CHAIN = BACKEND != "torch"
"""Whether the trainer can take several steps per call; if not, it takes them one by one, with the same result."""

Terms = dict
"""Named losses of one update. The entry ``"loss"`` is minimized, the others are logged."""

Update = tuple[Callable[..., Terms], Sequence, keras.optimizers.Optimizer]
"""A function that gives the terms, the variables to update so that ``"loss"`` falls, and their optimizer."""


class OptimizerGroup:
    """Several built optimizers seen as one by a trainer that only wants their variables."""

    built = True

    def __init__(self, optimizers: Sequence[keras.optimizers.Optimizer]):
        self.optimizers = list(optimizers)

    @property
    def variables(self) -> list:
        """Variables of all optimizers, in order."""
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]


def trainer_optimizer(model, optimizers: Sequence[keras.optimizers.Optimizer]) -> OptimizerGroup | None:
    """``model.optimizer`` as the current backend's trainer needs it.

    Raises:
        InputError: what ``build_optimizers`` returned is not a list of built optimizers that are attributes of the model:
            their states would be missing from its file, and a resumed training would go on without them.
    """
    if not isinstance(optimizers, list | tuple) or not all(isinstance(one, keras.optimizers.Optimizer) for one in optimizers):
        raise InputError(f"{model.label}: build_optimizers must return a list of optimizers, not {optimizers!r}.")
    kept = [part for value in vars(model).values() for part in (value if isinstance(value, list | tuple) else [value])]
    for one in optimizers:
        if not one.built:
            raise InputError(f"{model.label}: in build_optimizers, call build(variables) of the optimizer {one.name}.")
        if not any(part is one for part in kept):
            raise InputError(
                f"{model.label}: in build_optimizers, keep the optimizer {one.name} as an attribute (self.{one.name} = ...)."
            )
    return OptimizerGroup(optimizers) if BACKEND == "jax" else None


class EveryStep(keras.callbacks.Callback):
    """Counts the steps of every epoch by what they logged, and refuses an epoch that missed some.

    Args:
        steps: of an epoch; None: what the trainer says.
    """

    def __init__(self, steps: int | None = None):
        super().__init__()
        self.steps = steps

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Compare the steps taken with those of the epoch, before other callbacks keep anything of it.

        Raises:
            InputError: they differ.
        """
        wanted = self.steps or self.params.get("steps")
        counts = [float(ops.convert_to_numpy(mean.count)) for mean in self.model.trackers.values()]
        taken = max(counts, default=0) / distribution.devices_of(self.model)  # every device has counted
        if wanted and counts and taken != wanted:
            raise InputError(
                f"{self.model.label}: epoch {epoch + 1} took {taken:g} of its {wanted} steps on {BACKEND} (with "
                f"steps_per_execution: {self.model.steps_per_execution}), so its results are not kept. Set "
                "steps_per_execution: 1, and let training_step call track once for every term."
            )


def _images(data):
    """The images that a trainer passes to a step: alone or packed as ``(x,)``, as a tensor or a numpy array."""
    return ops.convert_to_tensor(data[0] if isinstance(data, tuple | list) else data)


@contextmanager
def isolated() -> Iterator[None]:
    """Inside, variables keep their values: what a layer would store (statistics, seeds) is dropped.

    Needed where a network runs on images whose statistics must not count, and inside a branch of ``ops.cond``,
    which on JAX must have no side effects.
    """
    outer = keras.src.backend.common.stateless_scope.get_stateless_scope()
    with keras.StatelessScope(initialize_variables=False) as scope:
        scope.state_mapping = dict(outer.state_mapping) if outer else {}
        yield


def update(loss_fn: Callable[[], Terms], variables: Sequence, optimizer) -> Terms:
    """Take one optimizer step on ``variables`` down the gradient of ``loss_fn()["loss"]``; returns the terms."""
    return update_in_turn(tuple, (loss_fn, variables, optimizer))[0]


def make_deterministic() -> None:
    """Ask the backend for results that repeat bit for bit on this machine (JAX's do on a CPU)."""
    if BACKEND == "tensorflow":
        tf.config.experimental.enable_op_determinism()
    elif BACKEND == "torch":
        torch.use_deterministic_algorithms(True, warn_only=True)


if BACKEND == "tensorflow":
    import tensorflow as tf

    def run_step(model, data):
        """Run ``model.training_step`` as the trainer of this backend expects it."""
        return distribution.loggable(model.training_step(_images(data)))

    @contextmanager
    def _tape(watched) -> Iterator[tf.GradientTape]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            yield tape

    def _sum(one, other):
        return other if one is None else one if other is None else one + other

    def update_in_turn(draw: Callable[[], tuple], *updates: Update) -> list[Terms]:
        """Take one step after another, through outputs that are drawn once.

        Args:
            draw: gives the values that all losses depend on, as a tuple. A variable that one update changes must not affect
                what a later update differentiates: otherwise it would have to be drawn again.
            *updates: each takes the drawn values, sees the effects of earlier updates, and is differentiated through both.

        Returns:
            The terms of each update.
        """
        every_terms = []
        # A tape for each: a branch of ops.cond that two watch, or one twice, would be traced for derivatives of every order
        with ExitStack() as drawing:
            tapes = [drawing.enter_context(_tape([variable.value for variable in variables])) for _, variables, _ in updates]
            drawn = draw()
        for drawn_by, (loss_fn, variables, optimizer) in zip(tapes, updates):
            values = [variable.value for variable in variables]
            with _tape([values, drawn]) as tape:
                terms = loss_fn(*drawn)
                loss = optimizer.scale_loss(distribution.share(terms["loss"]))
            direct, of_drawn = tape.gradient(loss, [values, drawn])
            used = [i for i, gradient in enumerate(of_drawn) if gradient is not None]
            if used:
                through = drawn_by.gradient([drawn[i] for i in used], values, [of_drawn[i] for i in used])
                direct = [_sum(*pair) for pair in zip(direct, through)]
            optimizer.apply(direct, variables)
            every_terms.append(terms)
        return every_terms

    def input_gradient(fn: Callable, inputs):
        """Gradient of ``sum(fn(inputs))`` with respect to ``inputs``, itself differentiable."""
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = ops.sum(fn(inputs))
        return tape.gradient(outputs, inputs)

elif BACKEND == "torch":
    import torch

    def run_step(model, data):
        """Run ``model.training_step`` as the trainer of this backend expects it."""
        return model.training_step(_images(data))

    def update_in_turn(draw: Callable[[], tuple], *updates: Update) -> list[Terms]:
        """Take one step after another, through outputs that are drawn once (see TensorFlow's above)."""
        every_terms = []
        with torch.enable_grad():
            drawn = draw()
        for i, (loss_fn, variables, optimizer) in enumerate(updates, 1):
            with torch.enable_grad():
                terms = loss_fn(*drawn)
                loss = optimizer.scale_loss(terms["loss"])
            values = [variable.value for variable in variables]
            gradients = torch.autograd.grad(loss, values, retain_graph=i < len(updates))
            with torch.no_grad():
                optimizer.apply(list(gradients), variables)
            every_terms.append({name: term.detach() for name, term in terms.items()})
        return every_terms

    def input_gradient(fn: Callable, inputs):
        """Gradient of ``sum(fn(inputs))`` with respect to ``inputs``, itself differentiable."""
        inputs = inputs if inputs.requires_grad else inputs.detach().requires_grad_(True)
        with torch.enable_grad():
            outputs = ops.sum(fn(inputs))
        return torch.autograd.grad(outputs, inputs, create_graph=True)[0]

elif BACKEND == "jax":
    import jax

    def _scope():
        scope = keras.src.backend.common.stateless_scope.get_stateless_scope()
        if scope is None:
            raise RuntimeError("On JAX a step runs inside the trainer: call model.fit or model.train_on_batch.")
        return scope

    def _pure(fn: Callable, state: dict) -> tuple:
        """``fn()`` with the variables' values of ``state``; returns its result and the updated values."""
        with keras.StatelessScope() as scope:
            scope.state_mapping = dict(state)
            result = fn()
        return result, scope.state_mapping

    def run_step(model, state, data):
        """Run ``model.training_step`` as a function from state to state, as the trainer of this backend expects it."""
        groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        values = {id(v): x for group, xs in zip(groups, state) for v, x in zip(group, xs)}
        logs, values = _pure(lambda: model.training_step(_images(data)), values)
        return logs, tuple([values[id(v)] for v in group] for group in groups)

    def update_in_turn(draw: Callable[[], tuple], *updates: Update) -> list[Terms]:
        """Take one step after another, through outputs that are drawn once (see TensorFlow's above)."""
        scope, every_terms = _scope(), []

        def values_of(variables):
            return {id(v): scope.state_mapping[id(v)] for v in variables}

        everything = values_of(v for _, variables, _ in updates for v in variables)
        drawn, pull_back, state = jax.vjp(lambda values: _pure(draw, scope.state_mapping | values), everything, has_aux=True)
        scope.state_mapping.update(state)
        for loss_fn, variables, optimizer in updates:

            def loss(values, drawn, loss_fn=loss_fn, optimizer=optimizer):
                terms, state = _pure(lambda: loss_fn(*drawn), scope.state_mapping | values)
                return optimizer.scale_loss(terms["loss"]), (terms, state)

            gradient = jax.grad(loss, argnums=(0, 1), has_aux=True)
            (direct, of_drawn), (terms, state) = gradient(values_of(variables), drawn)
            scope.state_mapping.update(state)
            (through_drawn,) = pull_back(of_drawn)
            optimizer.apply([direct[id(v)] + through_drawn[id(v)] for v in variables], variables)
            every_terms.append(terms)
        return every_terms

    def input_gradient(fn: Callable, inputs):
        """Gradient of ``sum(fn(inputs))`` with respect to ``inputs``, itself differentiable."""
        scope = _scope()

        def total(x):
            outputs, state = _pure(lambda: fn(x), scope.state_mapping)
            return ops.sum(outputs), state

        gradient, state = jax.grad(total, has_aux=True)(inputs)
        scope.state_mapping.update(state)
        return gradient

else:

    def run_step(model, *data):
        """Training needs a backend with gradients; sampling and metrics run on any."""
        raise InputError(f"Keras runs on {BACKEND!r}, which has no gradients: set KERAS_BACKEND=tensorflow, torch or jax.")

    update_in_turn = input_gradient = run_step
