"""Several machines that train one model together, each in a process of its own (``tf.distribute``).

Every machine runs the same program, holds the whole model and reads the same folders. TensorFlow sums gradients and statistics
over the network (``tf.distribute.MultiWorkerMirroredStrategy``); what ``distribution.py`` says of devices holds for all devices
of all machines. The first machine alone writes files, and decides for all where they might decide differently.
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
from dwikit.common.errors import InputError

BACKEND = keras.backend.backend()
PATIENCE_S = 600
"""How long a machine waits for the others to start."""

if BACKEND == "tensorflow":
    import tensorflow as tf


class Alone:
    """One machine by itself: it is the first, and agrees with itself.

    Attributes:
        first: whether this is the machine that writes files and decides.
    """

    first = True

    def scope(self, devices: int) -> contextlib.AbstractContextManager:
        """Inside, models are built so that they train on these machines, and on so many devices of each."""
        return distribution.scope(devices)

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first machine goes through this block alone, then all others."""
        yield

    def any(self, verdict: bool) -> bool:
        """Whether any machine says so. All have to ask."""
        return verdict

    def agree(self, asked: str) -> None:
        """Refuse to go on unless all machines were asked for the same, in the same words.

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
        """Wait until all are there. To be called before TensorFlow does anything else in the process.

        Args:
            addresses: HOST:PORT of every machine, in the same order on all; free ports that the other machines can reach.
            index: which of them this one is, from 0.

        Raises:
            InputError: no such list or index, another backend, a port that is taken, or TensorFlow was used before.
        """
        wrong = [text for text in addresses if not (text.rpartition(":")[0] and text.rpartition(":")[2].isdecimal())]
        if wrong or len(set(addresses)) != len(addresses) or len(addresses) < 2:
            raise InputError(f"Two or more different addresses HOST:PORT are needed, not {', '.join(addresses)!r}.")
        if not 0 <= index < len(addresses):
            raise InputError(f"machine must be 0 to {len(addresses) - 1}, its place in {', '.join(addresses)}; it is {index}.")
        if BACKEND != "tensorflow":
            raise InputError(f"Several machines need KERAS_BACKEND=tensorflow, and Keras runs on {BACKEND}.")
        spec = tf.train.ClusterSpec({"worker": list(addresses)})
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            spec, task_type="worker", task_id=index, rpc_layer="grpc"
        )
        _meet(addresses, index)
        try:
            self._strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        except (RuntimeError, tf.errors.OpError) as error:
            raise InputError(
                f"{addresses[index]} could not join the others ({_first_line(str(error))}). Is it another machine's address? "
                "Was TensorFlow used in this process before?"
            ) from error
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # TensorFlow would take it for a notice and go on
        self.first, self.addresses, self.index = index == 0, addresses, index

        def total(number):
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(number))

        self._total = tf.function(lambda number: self._strategy.run(total, args=(number,)))

    def scope(self, devices: int) -> contextlib.AbstractContextManager:
        """As of one machine; ``devices`` must be all GPUs of a machine, or 1 where there is none.

        Raises:
            InputError: a machine has another number of GPUs.
        """
        here = self._strategy.num_replicas_in_sync / len(self.addresses)
        if devices != here:
            raise InputError(
                f"Several machines use all their GPUs, here {here:g} on each, and {devices} were asked for. Ask for {here:g}, "
                "or hide some with CUDA_VISIBLE_DEVICES."
            )
        return self._strategy.scope()

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first machine goes through this block alone, then all others."""
        if not self.first:
            self.any(False)
        yield
        if self.first:
            self.any(False)

    def any(self, verdict: bool) -> bool:
        """Whether any machine says so. All have to ask."""
        return self._sum(verdict) > 0

    def agree(self, asked: str) -> None:
        """Refuse to go on unless all machines were asked for the same, in the same words.

        Raises:
            InputError: they were not.
        """
        mine = zlib.crc32(asked.encode())
        if self.any(self._sum(mine) != mine * self._strategy.num_replicas_in_sync):
            raise InputError(f"The machines were asked for different things, or have other slices or versions. Here: {asked}")

    def _sum(self, number: float) -> float:
        """Over all devices of all machines."""
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
                f"The machines do not train together any more: {lost or 'one'} was lost or ended. Look at what each has "
                "printed, then start the same command on all of them again: it goes on after the last complete epoch."
            ) from error


def _meet(addresses: Sequence[str], index: int) -> None:
    """Wait until every machine has opened its port. TensorFlow's own wait has no end, and no signal stops it.

    Raises:
        InputError: this machine's port is taken, or the others do not come.
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
    """Of TensorFlow's message, without the name of the node in braces before it."""
    return text.rpartition("}} ")[2].strip().partition("\n")[0]
