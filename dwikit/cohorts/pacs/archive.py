"""A picture archive (PACS) and two ways to talk to it: we call, or we listen. DICOM's network protocol, by pynetdicom."""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pynetdicom import AE, build_context, evt
from pynetdicom import sop_class as sop
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RJ

from dwikit.cohorts.pacs.store import Store
from dwikit.common.errors import InputError

IMAGES = (sop.MRImageStorage, sop.EnhancedMRImageStorage, sop.LegacyConvertedEnhancedMRImageStorage)
SYNTAXES = (
    "1.2.840.10008.1.2.1",  # plain
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.4.70",  # JPEG, JPEG-LS and JPEG 2000 without loss: dcm2niix reads them
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
)
IDLE = "Sta1"
"""State without connection (DICOM PS3.8, 9.2.1)."""
HANG_UP_S = 1.0
"""How long the other side may take to close a connection that we abort."""


@dataclass(frozen=True)
class Archive:
    """A picture archive.

    Attributes:
        host, port: where it listens.
        title: its application entity (AE) title.
        own_title: ours, as the archive's administrator registered it.
        timeout_s: how long an answer may take.

    Raises:
        InputError: no such port, or no AE title.
    """

    host: str
    port: int
    title: str
    own_title: str = "DWIKIT"
    timeout_s: float = 60.0

    def __post_init__(self):
        check_port(self.port)
        for title in (self.title, self.own_title):
            if not 0 < len(title.strip()) <= 16 or "\\" in title:
                raise InputError(f"{title!r} is not an AE title: 1 to 16 characters without backslash.")

    def __str__(self) -> str:
        return f"The archive {self.title} at {self.host}:{self.port}"


def check_port(port: int) -> None:
    """Refuses a number that is not a port.

    Raises:
        InputError: it is not in 1 to 65535.
    """
    if not 1 <= port <= 65535:
        raise InputError(f"{port} is not a port: it must lie between 1 and 65535; many archives listen at 104 or 11112.")


class Pace:
    """Limits requests per minute."""

    def __init__(self, per_minute: float):
        if not per_minute > 0:
            raise InputError(f"per_minute must be above 0, not {per_minute}.")
        self.gap, self.next = 60 / per_minute, 0.0

    def wait(self) -> None:
        """Returns when the next request is due."""
        time.sleep(max(0.0, self.next - time.monotonic()))
        self.next = time.monotonic() + self.gap


class Gone(InputError):
    """The archive does not answer, or no longer does."""


@contextlib.contextmanager
def connected(archive: Archive, contexts: list, **options) -> Iterator:
    """An association with the archive; one that is left by an error, or by Ctrl-C, is aborted."""
    ae = AE(ae_title=archive.own_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = archive.timeout_s
    ours: set[Association] = set()  # known before the call is answered, which may take a while
    refusals: list[A_ASSOCIATE_RJ] = []  # as they arrive: a busy machine may see the closed connection first
    handlers = [
        *options.pop("evt_handlers", []),
        (evt.EVT_ACSE_SENT, lambda event: ours.add(event.assoc)),
        (evt.EVT_PDU_RECV, lambda event: refusals.append(event.pdu) if isinstance(event.pdu, A_ASSOCIATE_RJ) else None),
    ]
    options |= {"ae_title": archive.title, "contexts": contexts, "evt_handlers": handlers}
    try:
        try:
            association = ae.associate(archive.host, archive.port, **options)
        except (socket.gaierror, UnicodeError) as error:
            raise InputError(f"This machine finds no host {archive.host!r}. Check its name and the network.") from error
        if refusals:
            reason = refusals[0].reason_str.lower()
            raise InputError(
                f"{archive} turns us away ({reason}). Ask its administrator for both titles; ours is {archive.own_title}."
            )
        offered = {context.abstract_syntax for context in association.accepted_contexts}
        if association.acceptor.primitive and contexts[0].abstract_syntax not in offered:
            raise InputError(f"{archive} does not offer {contexts[0].abstract_syntax.name}. Ask, or fetch by the other method.")
        if not association.is_established:
            raise Gone(f"{archive} does not answer. Check host, port and network.")
        yield association
        association.release()
    except BaseException:
        for association in ours:
            hang_up(association)
        raise


def hang_up(association: Association) -> None:
    """Aborts an association within about a second, whatever the other side does.

    Nothing is left to keep this process alive: pynetdicom's own `abort` waits for the other side to close the
    connection, and Python waits at exit for the thread that does so.
    """
    line, until = association.dul, time.monotonic() + HANG_UP_S
    try:
        if line.state_machine.current_state != IDLE:
            association.abort(block=False)
        while line.state_machine.current_state != IDLE and line.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        line.kill_dul()
        if line.socket:
            line.socket.close()


@contextlib.contextmanager
def listening(archive: Archive, store: Store, port: int) -> Iterator[None]:
    """Inside, we receive what the archive sends; what it is sending at the end is cut short."""
    check_port(port)
    ae = AE(ae_title=archive.own_title)
    ae.supported_contexts = [build_context(name, list(SYNTAXES)) for name in IMAGES]
    try:
        server = ae.start_server(("", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store.keep)])
    except OSError as error:
        raise InputError(
            f"Nobody can listen on port {port} ({error.strerror}). Choose the one that the archive knows."
        ) from error
    try:
        yield
    finally:
        try:
            for association in server.active_associations:
                hang_up(association)
        finally:
            server.shutdown()
