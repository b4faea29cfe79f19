"""Several machines that train one model together, one process each (``tf.distribute``).

Every machine runs the same program, holds the whole model and reads the same folders. TensorFlow sums gradients and statistics
over the network (``tf.distribute.MultiWorkerMirroredStrategy``); what ``distribution.py`` says of devices holds for all devices
of all machines. Only the first machine writes files, and it decides for all where they might decide differently.
"""

import contextlib
import re
import signal
import socket
import time
import zlib
from collections.abc import Iterator, Sequence

import keras

from dwikit.backend import distribution
from dwikit.backend.quiet import held_back
from dwikit.common.errors import InputError

BACKEND = keras.backend.backend()
PATIENCE_S = 600
"""Seconds that a machine waits for the others to start."""

if BACKEND == "tensorflow":
    import tensorflow as tf


class Alone:
    """One machine by itself: it is the first and always agrees.

    Attributes:
        first: whether this is the machine that writes files and decides.
    """

    first = True

    def scope(self, devices: int) -> contextlib.AbstractContextManager:
        """Inside, models are built to train on these machines and this many devices of each."""
        return distribution.scope(devices)

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first machine runs this block alone, then all others."""
        yield

    def any(self, verdict: bool) -> bool:
        """Whether this is true on any machine. All must ask."""
        return verdict

    def agree(self, asked: str) -> None:
        """Refuse to continue unless all machines were given the same task, in the same words.

        Raises:
            InputError: they were not.
        """

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Inside, a machine that is lost becomes an ``InputError``."""
        yield


ALONE = Alone()


class Machines(Alone):
    """Machines that train together, seen from one of them."""

    def __init__(self, addresses: Sequence[str], index: int):
        """Wait until all are there. Call this before TensorFlow does anything else in the process.

        Args:
            addresses: HOST:PORT of every machine, in the same order on all; free ports that the other machines can reach.
            index: position of this machine among them, from 0.

        Raises:
            InputError: an invalid list or index, another backend, a port in use, or TensorFlow was used before.
        """
        wrong = [text for text in addresses if not (text.rpartition(":")[0] and text.rpartition(":")[2].isdecimal())]
        if wrong or len(set(addresses)) != len(addresses) or len(addresses) < 2:
            raise InputError(f"Two or more different addresses HOST:PORT are needed, not {', '.join(addresses)!r}.")
        if not 0 <= index < len(addresses):
            raise InputError(f"machine must be 0 to {len(addresses) - 1}, its place in {', '.join(addresses)}; it is {index}.")
        if BACKEND != "tensorflow":
            raise InputError(f"Several machines need KERAS_BACKEND=tensorflow, but Keras runs on {BACKEND}.")
        spec = tf.train.ClusterSpec({"worker": list(addresses)})
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            spec, task_type="worker", task_id=index, rpc_layer="grpc"
        )
        _meet(addresses, index)
        try:
            with held_back():
                self._strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        except (RuntimeError, tf.errors.OpError) as error:
            raise InputError(
                f"{addresses[index]} could not join the others ({_first_line(str(error))}). Is it another machine's address? "
                "Was TensorFlow used in this process before?"
            ) from error
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # TensorFlow would take it as a notice and continue
        self.first, self.addresses, self.index = index == 0, addresses, index

        def total(number):
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(number))

        self._total = tf.function(lambda number: self._strategy.run(total, args=(number,)))

    def scope(self, devices: int) -> contextlib.AbstractContextManager:
        """As for one machine; ``devices`` must be all GPUs of a machine, or 1 if it has none.

        Raises:
            InputError: a machine has another number of GPUs.
        """
        here = self._strategy.num_replicas_in_sync / len(self.addresses)
        if devices != here:
            raise InputError(
                f"Several machines use all their GPUs, here {here:g} on each, but {devices} were asked for. Ask for {here:g}, "
                "or hide some with CUDA_VISIBLE_DEVICES."
            )
        return self._strategy.scope()

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first machine runs this block alone, then all others."""
        if not self.first:
            self.any(False)
        yield
        if self.first:
            self.any(False)

    def any(self, verdict: bool) -> bool:
        """Whether this is true on any machine. All must ask."""
        return self._sum(verdict) > 0

    def agree(self, asked: str) -> None:
        """Refuse to continue unless all machines were given the same task, in the same words.

        Raises:
            InputError: they were not.
        """
        mine = zlib.crc32(asked.encode())
        if self.any(self._sum(mine) != mine * self._strategy.num_replicas_in_sync):
            raise InputError(f"The machines were given different tasks, or have different slices or versions. Here: {asked}")

    def _sum(self, number: float) -> float:
        """The strategy over all devices of all machines."""
        with self.together():
            values = self._total(tf.constant(number, tf.float64))
            return float(self._strategy.experimental_local_results(values)[0])

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Inside, a machine that is lost becomes an ``InputError``."""
        try:
            yield
        except tf.errors.OpError as error:
            tasks = {int(number) for number in re.findall(r"/task:(\d+)", str(error))} - {self.index}
            lost = ", ".join(address for number, address in enumerate(self.addresses) if number in tasks)
            raise InputError(
                f"The machines no longer train together: {lost or 'one'} was lost or ended. Look at what each has "
                "printed, then start the same command on all of them again: it resumes after the last complete epoch."
            ) from error


def _meet(addresses: Sequence[str], index: int) -> None:
    """Wait until every machine has opened its port. TensorFlow's own wait has no end, and no signal stops it.

    Raises:
        InputError: this machine's port is in use, or the others do not come.
    """
    try:
        server = socket.create_server(("", _port(addresses[index])))
    except (OSError, OverflowError) as error:
        raise InputError(f"The port of {addresses[index]} cannot be opened here ({error}). Choose another one.") from error
    missing, end = [address for address in addresses if address != addresses[index]], time.monotonic() + PATIENCE_S
    print(f"{addresses[index]} waits for {', '.join(missing)}", flush=True)
    with server:
        while missing := [address for address in missing if not _answers(address)]:
            if time.monotonic() > end:
                raise InputError(f"Nobody came at {', '.join(missing)} in {PATIENCE_S} s. Start the command on all machines.")
            time.sleep(0.2)


def _answers(address: str) -> bool:
    """Whether a port is open: the other machine waits, or its TensorFlow has begun."""
    with contextlib.suppress(OSError):
        socket.create_connection((address.rpartition(":")[0].strip("[]"), _port(address)), timeout=2).close()
        return True
    return False


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _first_line(text: str) -> str:
    """First line of TensorFlow's message, without the node's name in braces before it."""
    return text.rpartition("}} ")[2].strip().partition("\n")[0]
