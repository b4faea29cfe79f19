"""Two machines that train together (two processes here) end where one does, and say in words what went wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from dwikit import profiles, training
from dwikit.backend import machines
from dwikit.backend.machines import Machines
from dwikit.common.errors import InputError

TESTS = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parents[1]), str(TESTS)]), "TF_CPP_MIN_LOG_LEVEL": "3"}
sys.path.insert(0, str(TESTS))
from distribution_worker import CASES, store  # noqa: E402


def free_addresses() -> str:
    """Two on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return ",".join(f"127.0.0.1:{server.getsockname()[1]}" for server in (one, other))


def start(*command: str) -> list[subprocess.Popen]:
    """The same command as two machines: its last arguments are the addresses and the machine's number."""
    addresses = free_addresses()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": ENVIRONMENT}
    return [subprocess.Popen([sys.executable, *command, addresses, str(i)], **pipes) for i in range(2)]


def train_both(folder: Path, *keys: str) -> tuple[list[dict], dict]:
    """What the two machines were told, and the models' deviations from one machine."""
    processes = start(str(TESTS / "machines_worker.py"), ",".join(keys), str(folder))
    texts = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], texts[0][1][-2000:] + texts[1][1][-2000:]
    lines = [text.splitlines() for text, _ in texts]
    return [json.loads(line[-1]) for line in lines], json.loads(lines[0][-2])


def near(deviations: dict) -> bool:
    return deviations["losses"] < 1e-5 and deviations["weights"] < 1e-5 and deviations["worst"] < 1e-3


def test_two_machines_end_where_one_does(tmp_path):
    """And what one of them says, all hear."""
    (one, other), deviations = train_both(tmp_path, "vae", "style_gan")
    assert near(deviations["vae"]) and near(deviations["style_gan"]), deviations
    assert (one.pop("first"), other.pop("first")) == (True, False)
    for told in (one, other):
        assert told["devices"] == 2
        assert told["any"] == [False, True, True]
        assert "The machines were given different tasks" in told["refused"]


@pytest.mark.hardship
def test_two_machines_end_where_one_does_with_every_model(tmp_path):
    _, deviations = train_both(tmp_path, *CASES)
    print("\nTwo machines:", json.dumps(deviations, indent=1))
    assert list(deviations) == list(CASES) and all(map(near, deviations.values())), deviations


TRAIN = """
import sys
from dwikit.backend import machines
from dwikit.backend.machines import Machines
folder, addresses, index = sys.argv[1:]
machines = Machines(addresses.split(","), int(index))
from distribution_worker import store
from dwikit import profiles, training
from dwikit.common.errors import InputError
from test_machines import SECTION
try:
    run = training.train("vae", profiles.resolve("smoke", vae=SECTION), store(), folder, machines=machines)
except InputError as error:
    sys.exit(f"refused: {error}")
print(run.model.epochs_done, len(run.samples))
"""
SECTION = {"epochs": 12, "steps_per_epoch": 10, "health": False, "model": {"channels": [8, 16]}}


@pytest.mark.hardship
def test_a_machine_that_is_lost(tmp_path):
    """The other says so; started again, they go on and end where one machine does."""
    one, other = start("-c", TRAIN, str(tmp_path / "together"))
    log = tmp_path / "together" / "log.csv"
    while not log.is_file():
        time.sleep(0.01)
        assert one.poll() is None and other.poll() is None
    other.kill()
    _, error = one.communicate(timeout=600)
    assert one.returncode == 1
    lost = f"refused: The machines no longer train together: {other.args[-2].split(',')[1]} was lost or ended"
    assert lost in error and "resumes after the last complete epoch" in error
    assert 1 <= len(training.read_log(log.parent)) < 12
    other.communicate()

    processes = start("-c", TRAIN, str(tmp_path / "together"))
    texts = [process.communicate(timeout=600) for process in processes]
    assert [text.split()[-2:] for text, _ in texts] == [["12", "64"]] * 2, texts
    alone = training.train("vae", profiles.resolve("smoke", vae=SECTION), store(), tmp_path / "alone")
    together = training.Run(alone.model, tmp_path / "together").log
    np.testing.assert_allclose(together["loss"], alone.log["loss"], rtol=1e-3)  # rounding grows over 120 steps of Adam
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "together"]  # nothing was set aside


@pytest.mark.parametrize(
    ("addresses", "index", "message"),
    [
        (["a:1"], 0, "Two or more different addresses"),
        (["a:1", "a:1"], 0, "Two or more different addresses"),
        (["a:1", "b"], 0, "Two or more different addresses HOST:PORT are needed, not 'a:1, b'"),
        (["a:1", "b:1"], 2, "machine must be 0 to 1, its place in a:1, b:1; it is 2"),
        (["127.0.0.1:77777", "b:1"], 0, "The port of 127.0.0.1:77777 cannot be opened here"),
    ],
)
def test_machines_that_cannot_be(addresses, index, message):
    with pytest.raises(InputError, match=message):
        Machines(addresses, index)


def test_machines_that_do_not_come(monkeypatch):
    monkeypatch.setattr(machines, "PATIENCE_S", 0.5)
    addresses = free_addresses().split(",")
    with pytest.raises(InputError, match=f"Nobody came at {addresses[1]} in 0.5 s"):
        Machines(addresses, 0)
    host, port = addresses[1].split(":")
    with socket.create_server((host, int(port))):
        with pytest.raises(InputError, match=f"The port of {addresses[1]} cannot be opened here"):
            Machines(addresses, 1)
        keras.ops.ones(1)
        with pytest.raises(InputError, match=f"{addresses[0]} could not join .*Was TensorFlow used in this process before"):
            Machines(addresses, 0)


@pytest.mark.usefixtures("interruptible")
def test_waiting_can_be_stopped():
    addresses = free_addresses()
    command = [sys.executable, "-m", "dwikit", "train", "vae", "--machines", addresses, "--machine", "0"]
    with socket.socket() as taken:  # nobody else can open the port that is waited for
        taken.bind(("127.0.0.1", int(addresses.rpartition(":")[2])))
        waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        assert waiting.stdout.readline().startswith(f"{addresses.split(',')[0]} waits for")
        waiting.send_signal(signal.SIGINT)
        _, error = waiting.communicate(timeout=120)
    assert waiting.returncode == 130 and "dwikit: stopped" in error
