"""Whose a series is: labels of persons, and why a series is nobody's."""

from collections import defaultdict
from pathlib import Path

from dwikit.cohorts.dicom import pseudonym
from dwikit.cohorts.dicom.report import Row
from dwikit.cohorts.dicom.series import Series

ISSUED = "PatientID with issuer"
"""Kind of the rows of the private list by which an ID is known again without its issuer."""


class People:
    """Labels of the persons of an import.

    A patient is issuer and ID. Archives fill in the issuer at times: an ID that occurs with one issuer and without is one
    person, in one run or in several; with several issuers and without, nobody can tell.
    """

    def __init__(self, found: list[Series], secret: bytes, out: Path, earlier: list[Row]):
        """Reads whom the series of this run name.

        Args:
            found: series of this run.
            secret: key.
            out: the data set, whose persons keep their labels.
            earlier: rows of the private list.
        """
        self._secret, self._out = secret, out
        self._patients = defaultdict(set)
        self._issued: dict[str, set[str]] = defaultdict(set)
        for row in earlier:
            if row["kind"] == ISSUED:
                self._issued[str(row["series"])].add(str(row["participant_id"]))
        for one in found:
            self._patients[one.person].add(one.patient)
        issued = {one.patient for one in found if one.person[0] == "patient" and all(one.patient)}
        now = defaultdict(set)
        for issuer, number in issued:
            now[number].add(issuer)
        self._labels = {patient: self._with_issuer(*patient, alone=len(now[patient[1]]) == 1) for patient in issued}
        for (_, number), label in self._labels.items():
            self._issued[self._without(number)].add(label)

    def label(self, one: Series) -> str:
        """Label of a series' person: "sub-" and 12 letters."""
        if one.person[0] != "patient":
            return "sub-" + pseudonym.label(self._secret, f"person by {one.person[0]}", one.person[1])
        if one.patient in self._labels:
            return self._labels[one.patient]
        bare = self._without(one.patient[1])
        return bare if len(self._issued[bare]) != 1 or self._there(bare) else next(iter(self._issued[bare]))

    def refusal(self, one: Series) -> str:
        """Why a series is nobody's; empty if it is somebody's."""
        kind, *rest = one.person
        if kind != "patient":
            if not rest[0]:
                return "it lies in no folder below the one that was given: it cannot be told whose it is"
            if len(self._patients[one.person]) > 1:
                return f"its {kind} holds several PatientIDs: it cannot be told whose it is"
            return ""
        issuer, number = one.patient
        if not number:
            return "no PatientID: it cannot be told whose it is, unless --person-from study or --person-from folder says it"
        if not issuer and len(self._issued[self._without(number)]) > 1:
            return "its PatientID occurs with several issuers and without one: it cannot be told whose it is"
        return ""

    def rows(self) -> list[Row]:
        """Rows for the private list: which persons an ID stands for, whatever its issuer."""
        known = [(bare, label) for bare, labels in self._issued.items() for label in sorted(labels)]
        empty = {"folder": "n/a", "damaged": "n/a"}
        return [{"series": bare, "participant_id": label, "kind": ISSUED, **empty} for bare, label in known]

    def _with_issuer(self, issuer: str, number: str, alone: bool) -> str:
        own, bare = "sub-" + pseudonym.label(self._secret, "patient", issuer, number), self._without(number)
        joins = alone and self._there(bare) and not self._there(own) and self._issued[bare] <= {bare}
        return bare if joins else own

    def _without(self, number: str) -> str:
        return "sub-" + pseudonym.label(self._secret, "patient", "", number)

    def _there(self, label: str) -> bool:
        return (self._out / label).is_dir()
