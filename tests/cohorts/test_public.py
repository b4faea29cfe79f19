"""Open cohorts, against a server on this machine that answers as the archives do; the live archives are not called."""

import dataclasses
import gzip
import hashlib
import http.server
import io
import struct
import sys
import tarfile
import threading
import urllib.parse
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from dwikit import cli
from dwikit.cohorts.bids import find_cases
from dwikit.common.errors import InputError

pytest.importorskip("requests", reason="pip install -e '.[acquire]'")
pytest.importorskip("xlrd", reason="pip install -e '.[acquire]'")
from dwikit.cohorts import public
from dwikit.cohorts.public import download
from dwikit.cohorts.public.download import download as fetch_file

PAGE = 3
"""Entries on a page of a listing; Amazon has 1,000, and a test shall see several pages."""


class Server(http.server.ThreadingHTTPServer):
    """Files by path, as Amazon S3 and a plain web server hand them out.

    `break_after` breaks the connection once for a path after so many bytes; `busy` answers 503 so often; `asked` logs requests.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.break_after: dict[str, int] = {}
        self.busy: dict[str, int] = {}
        self.in_parts: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def etag(self, path):
        md5 = hashlib.md5(self.files[path]).hexdigest()
        return f'"{md5}-2"' if path in self.in_parts else f'"{md5}"'


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(parts.path).lstrip("/")
        self.server.asked.append((path, self.headers.get("Range", "")))
        if self.server.busy.get(path, 0):
            self.server.busy[path] -= 1
            self.send_error(503, "Slow Down")
        elif "list-type" in parts.query:
            self._list(dict(urllib.parse.parse_qsl(parts.query)))
        elif path in self.server.files:
            self._file(path)
        else:
            self.send_error(404)

    def _list(self, query):
        """ListObjectsV2: keys in order, grouped at the delimiter, in pages."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        entries = []
        for key in sorted(key for key in self.server.files if key.startswith(prefix)):
            folder = prefix + key[len(prefix) :].split(delimiter)[0] + delimiter if delimiter else key
            entries += [folder if delimiter and folder != key + delimiter else key]
        entries = sorted(set(entries))
        start = int(query.get("continuation-token", "0"))
        page, more = entries[start : start + PAGE], start + PAGE < len(entries)
        body = ['<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">']
        for key in page:
            if key in self.server.files:
                tag = self.server.etag(key).replace('"', "&quot;")
                size = len(self.server.files[key])
                body.append(f"<Contents><Key>{key}</Key><ETag>{tag}</ETag><Size>{size}</Size></Contents>")
            else:
                body.append(f"<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>")
        if more:
            body.append(f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>")
        text = ("".join(body) + "</ListBucketResult>").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _file(self, path):
        content = self.server.files[path]
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if "Range" in self.headers else 0
        if start >= len(content) > 0:
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", self.server.etag(path))
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = self.server.break_after.pop(path, None)
        self.wfile.write(content[start:][:stop])


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "WAITS_S", (0.01, 0.01))
    monkeypatch.setattr(download, "CHUNK", 100)
    server = Server()
    yield server
    server.shutdown()


def series(n_volumes, seed=0, shape=(12, 10, 9)):
    """A NIfTI file (.nii.gz) as bytes."""
    voxels = np.random.default_rng(seed).integers(1, 900, (*shape, n_volumes)).astype(np.int16).squeeze()
    return gzip.compress(nib.Nifti1Image(voxels, np.diag([2.0, 2, 2, 1])).to_bytes(), 1)


def test_recipes_are_complete():
    table = public.table().set_index("name")
    assert dict(table["subjects"]) == {"aomic-id1000": 928, "aomic-piop1": 216, "aomic-piop2": 226, "ixi": "n/a"}
    assert [public.load(name).dataset for name in public.names()] == ["ds003097", "ds002785", "ds002790", ""]
    for name in public.names():
        recipe = public.load(name)
        assert recipe.url.startswith("https://") and recipe.license and recipe.cite
        assert recipe.kind == "ixi" or f"{recipe.dataset}.v" in recipe.doi


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: x", "is not a recipe"),
        ("title: x\nkind: ixi\nurl: u\nlicense: l\ncite: c\nsize: 3", "unexpected keyword argument 'size'"),
        ("title: x\nkind: ftp\nurl: u\nlicense: l\ncite: c", "kind must be one of openneuro, ixi, not 'ftp'"),
        ("[", "is not readable as YAML"),
    ],
)
def test_a_bad_recipe_is_refused(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        public.load(tmp_path / "mine.yaml")
    with pytest.raises(InputError, match="no recipe 'hcp'. Known: aomic-id1000"):
        public.load("hcp")


def test_a_broken_download_goes_on(server, tmp_path):
    content = np.random.default_rng(1).bytes(300_000)
    md5 = hashlib.md5(content).hexdigest()
    server.files["a.tar"], server.break_after["a.tar"], server.busy["a.tar"] = content, 120_000, 1
    assert fetch_file(f"{server.url}/a.tar", tmp_path / "a.tar", len(content), md5)
    assert (tmp_path / "a.tar").read_bytes() == content and len(list(tmp_path.iterdir())) == 1
    assert [range_ for _, range_ in server.asked] == ["", "", "bytes=120000-"]
    assert not fetch_file(f"{server.url}/a.tar", tmp_path / "a.tar", len(content), md5)
    assert len(server.asked) == 3  # what is there is not asked for


def test_a_download_goes_on_in_a_later_run(server, tmp_path):
    content = bytes(range(256)) * 40
    server.files["a"], server.busy["a"] = content, 3
    (tmp_path / ".a.part").write_bytes(content[:700])
    with pytest.raises(InputError, match="HTTP 503.*run the same again to resume"):
        fetch_file(f"{server.url}/a", tmp_path / "a")
    assert not (tmp_path / "a").exists()
    fetch_file(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == content and server.asked[-1] == ("a", "bytes=700-")
    (tmp_path / ".b.part").write_bytes(content)  # all is here but the last step
    server.files["b"] = content
    fetch_file(f"{server.url}/b", tmp_path / "b", md5=hashlib.md5(content).hexdigest())
    assert (tmp_path / "b").read_bytes() == content


def test_what_is_wrong_is_not_kept(server, tmp_path):
    server.files["a"] = b"0123456789"
    with pytest.raises(InputError, match="wrong checksum"):
        fetch_file(f"{server.url}/a", tmp_path / "a", 10, "0" * 32)
    with pytest.raises(InputError, match="came with 10 bytes, not 11"):
        fetch_file(f"{server.url}/a", tmp_path / "a", 11)
    with pytest.raises(InputError, match="HTTP 404"):
        fetch_file(f"{server.url}/b", tmp_path / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(InputError, match="Move it away"):
        fetch_file(f"{server.url}/a", tmp_path / "a", 10)
    assert (tmp_path / "a").read_bytes() == b"mine"


def test_no_network(server, tmp_path, capsys, monkeypatch):
    """A name that does not resolve is tried once more, soon; nobody listening as often as a busy server."""
    waits = []
    monkeypatch.setattr(download, "WAITS_S", (1, 5, 20))
    monkeypatch.setattr(download.time, "sleep", waits.append)
    with pytest.raises(InputError, match="^No connection to 127.0.0.1: connection refused. Check the network and run the same"):
        fetch_file("http://127.0.0.1:9/a", tmp_path / "none" / "a")
    assert waits == [1, 5, 20]
    for name in ("ixi", "aomic-piop2"):
        recipe = dataclasses.asdict(public.load(name)) | {"url": "https://archive.invalid/data"}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
        assert cli.main(["cohort", "fetch", str(tmp_path / f"{name}.yaml"), str(tmp_path / "none" / name)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("dwikit: No connection to archive.invalid: ") and len(said) < 150 and "Pool" not in said
    assert waits == [1, 5, 20, 1] and not (tmp_path / "none").exists()
    with pytest.raises(InputError, match="HTTP 404"):
        fetch_file(f"{server.url}/b", tmp_path / "none" / "b")
    server.files["a"] = bytes(1000)
    server.break_after["a"] = 300
    monkeypatch.setattr(download, "WAITS_S", ())
    with pytest.raises(InputError, match="^No connection to 127.0.0.1: it broke off.*to resume"):
        fetch_file(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / ".a.part").stat().st_size == 300


def serve_piop2(server, tables, doi="10.18112/openneuro.ds002790.v2.0.0"):
    """Puts a data set of the layout of PIOP2 on the server; `tables` are sidecars, b-values and directions by path."""
    top = {
        "dataset_description.json": f'{{"Name": "AOMIC-PIOP2", "DatasetDOI": "{doi}"}}',
        "participants.tsv": "participant_id\tage\tsex\nsub-0015\t21.25\tfemale\nsub-0017\t22.5\tmale\n",
        "participants.json": "{}",
        "README": "about",
        "task-restingstate_acq-seq_bold.json": "{}",
        "derivatives/dwipreproc/sub-0015/dwi/sub-0015_desc-preproc_dwi.nii.gz": "large",
    }
    content = {path: text.encode() for path, text in top.items()} | tables
    for path in list(tables):
        if path.endswith(".bval"):
            subject = path.split("/")[0]
            content[path.replace(".bval", ".nii.gz")] = series(len(tables[path].split()), int(subject[4:]))
            content[f"{subject}/anat/{subject}_T1w.nii.gz"] = b"anatomy"
            content[f"{subject}/func/{subject}_task-restingstate_acq-seq_bold.nii.gz"] = b"function"
    server.files |= {f"ds002790/{path}": data for path, data in content.items()}
    server.files["ds0027900/README"] = b"another data set whose name begins alike"


def small_tables(*subjects):
    tables = {}
    for subject in subjects:
        stem = f"{subject}/dwi/{subject}_dwi"
        directions = "0 1 0 0\n0 0 1 0\n0 0 0 1\n"
        tables |= {f"{stem}.bval": b"0 1000 1000 1000", f"{stem}.bvec": directions.encode(), f"{stem}.json": b"{}"}
    return tables


def test_only_what_dwi_needs_is_fetched_from_openneuro(server, tmp_path):
    serve_piop2(server, small_tables("sub-0015", "sub-0017", "sub-0035"))
    image = "ds002790/sub-0017/dwi/sub-0017_dwi.nii.gz"
    server.break_after[image], server.busy["ds002790/README"] = 500, 1
    server.in_parts.add("ds002790/sub-0035/dwi/sub-0035_dwi.nii.gz")
    recipe = dataclasses.replace(public.load("aomic-piop2"), url=server.url)
    report = public.fetch(recipe, tmp_path, progress=False)
    assert set(report["result"]) == {"fetched"} and len(report) == 4 + 3 * 4
    assert (report["note"] != "MD5 equal").sum() == 1  # the one that was uploaded in parts
    fetched = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert fetched == set(report["name"]) | {"sourcedata/fetched.tsv"}
    assert not [name for name in fetched if "anat" in name or "func" in name or "derivatives" in name or "bold" in name]
    for name in report["name"]:
        assert (tmp_path / name).read_bytes() == server.files[f"ds002790/{name}"]
    assert (image, "bytes=500-") in server.asked
    cases = find_cases(tmp_path)
    assert [(case.subject, case.sex) for case in cases] == [("sub-0015", "F"), ("sub-0017", "M"), ("sub-0035", None)]
    assert cases[0].age == 21.25

    (tmp_path / "sub-0015/dwi/sub-0015_dwi.nii.gz").unlink()
    before = len(server.asked)
    again = public.fetch(recipe, tmp_path, progress=False)
    assert list(again["name"][again["result"] == "fetched"]) == ["sub-0015/dwi/sub-0015_dwi.nii.gz"]
    assert sum(path.endswith(".nii.gz") for path, _ in server.asked[before:]) == 1


def test_another_snapshot_or_no_data_set_is_refused(server, tmp_path):
    serve_piop2(server, small_tables("sub-0015"), doi="10.18112/openneuro.ds002790.v3.0.0")
    recipe = dataclasses.replace(public.load("aomic-piop2"), url=server.url)
    with pytest.raises(InputError, match="holds 10.18112/openneuro.ds002790.v3.0.0 .* asks for .*v2.0.0"):
        public.fetch(recipe, tmp_path, progress=False)
    assert not find_images(tmp_path)
    with pytest.raises(InputError, match="holds no data set ds009999"):
        public.fetch(dataclasses.replace(recipe, dataset="ds009999"), tmp_path, progress=False)
    server.files["ds002790/sub-0015/../../dwi/evil.json"] = b"{}"
    with pytest.raises(InputError, match="outside its data set"):
        public.fetch(dataclasses.replace(recipe, doi="10.18112/openneuro.ds002790.v3.0.0"), tmp_path / "in", progress=False)
    with pytest.raises(InputError, match="No connection to 127.0.0.1"):
        public.fetch(dataclasses.replace(recipe, url="http://127.0.0.1:9"), tmp_path, progress=False)


def find_images(folder):
    return list(folder.rglob("*.nii.gz"))


def test_real_sidecars_of_piop2(server, tmp_path, fixtures):
    """Real b-tables, directions and sidecars of four subjects; the images are ours."""
    real = fixtures / "aomic-piop2"
    tables = {str(path.relative_to(real)): path.read_bytes() for path in real.glob("sub-*/dwi/*")}
    assert len(tables) == 12
    serve_piop2(server, tables)
    public.fetch(dataclasses.replace(public.load("aomic-piop2"), url=server.url), tmp_path, progress=False)
    cases = find_cases(tmp_path)
    assert [case.subject for case in cases] == ["sub-0015", "sub-0017", "sub-0035", "sub-0066"]
    for case in cases:
        assert case.bval.read_bytes() == (real / case.subject / "dwi" / case.bval.name).read_bytes()
        assert nib.load(case.image).shape[3] == len(np.loadtxt(case.bval)) == 33


def xls(header: list[str], rows: list[list]) -> bytes:
    """A spreadsheet in the oldest format of .xls (BIFF 2): a stream of typed records."""
    records = struct.pack("<HHHH", 0x0009, 4, 7, 0x10)
    for r, row in enumerate([header, *rows]):
        for c, cell in enumerate(row):
            if isinstance(cell, str):
                records += struct.pack("<HHHH3sB", 0x0004, 8 + len(cell), r, c, b"\0\0\0", len(cell)) + cell.encode("ascii")
            elif cell is not None:
                records += struct.pack("<HHHH3sd", 0x0003, 15, r, c, b"\0\0\0", cell)
    return records + struct.pack("<HH", 0x000A, 0)


def ixi_tar(scans: dict[str, list[bytes]]) -> bytes:
    """A tar of `./NAME-DTI-NN.nii.gz`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, volumes in scans.items():
            for n, volume in enumerate(volumes):
                member = tarfile.TarInfo(f"./{name}-DTI-{n:02d}.nii.gz")
                member.size = len(volume)
                tar.addfile(member, io.BytesIO(volume))
    return packed.getvalue()


@pytest.fixture
def ixi(server):
    """IXI's four files on the server: five people, two of them with something wrong."""
    volumes = [series(1, seed) for seed in range(17)]
    scans = {
        "IXI002-Guys-0828": volumes,
        "IXI012-HH-1211": volumes[::-1],
        "IXI025-Guys-0852": volumes[:16],  # some have no 17th
        "IXI035-IOP-0873": volumes[:9],
        "IXI040-IOP-0874": [*volumes[:5], volumes[5][:200], *volumes[6:]],
    }
    people = [[2, 2, 35.8, "x"], [12, 1, 38.78, ""], [25, 1, 43.0, ""], [25, 2, 44.0, ""], [77, 1, 20.0, ""]]
    held = {
        "IXI-DTI.tar": ixi_tar(scans),
        "bvals.txt": b"0 " + b"1000 " * 15,
        "bvecs.txt": b"0 1 0 0 1 1 0 1 1 0 1 1 0 1 1 0\n" * 3,
        "IXI.xls": xls(["IXI_ID", "SEX_ID (1=m, 2=f)", "AGE", "NOTE"], people),
    }
    server.files |= held
    checksums = {name: None if name == "IXI.xls" else hashlib.md5(content).hexdigest() for name, content in held.items()}
    assert list(public.load("ixi").files) == list(held)
    return dataclasses.replace(public.load("ixi"), url=server.url, files=checksums), volumes


def test_ixi_becomes_bids(server, ixi, tmp_path):
    recipe, volumes = ixi
    server.break_after["IXI-DTI.tar"] = 40_000
    report = public.fetch(recipe, tmp_path, progress=False).set_index("name")
    assert any(path == "IXI-DTI.tar" and range_ == "bytes=40000-" for path, range_ in server.asked)
    assert dict(report["result"].iloc[4:]) == {
        "sub-IXI002": "converted",
        "sub-IXI012": "converted",
        "sub-IXI025": "converted",
        "sub-IXI035": "left out",
        "sub-IXI040": "left out",
    }
    assert report.loc["sub-IXI035", "note"] == "volume 09 is missing" and "damaged" in report.loc["sub-IXI040", "note"]
    cases = find_cases(tmp_path)
    assert [(case.subject, case.age, case.sex) for case in cases[:2]] == [("sub-IXI002", 35.8, "F"), ("sub-IXI012", 38.8, "M")]
    assert np.isnan(cases[2].age) and cases[2].sex is None  # its two rows disagree
    image = nib.load(cases[0].image)
    assert image.shape == (12, 10, 9, 16) and len(np.loadtxt(cases[0].bval)) == 16
    for n in (0, 15):  # the 17th is left out, the others are as they came
        volume = nib.Nifti1Image.from_bytes(gzip.decompress(volumes[n]))
        assert np.array_equal(image.dataobj[..., n], volume.dataobj) and np.allclose(image.affine, volume.affine)
    assert "hospital" in (tmp_path / "participants.tsv").read_text().splitlines()[0]

    asked = len(server.asked)
    again = public.fetch(recipe, tmp_path, progress=False)
    assert len(server.asked) == asked and set(again["result"]) == {"there already", "left out"}


def test_a_damaged_ixi_archive_is_refused(server, ixi, tmp_path):
    recipe, _ = ixi
    with pytest.raises(InputError, match="wrong checksum"):
        public.fetch(dataclasses.replace(recipe, files=recipe.files | {"IXI-DTI.tar": "0" * 32}), tmp_path, progress=False)
    server.files["IXI.xls"] = b"<html>moved</html>"
    with pytest.raises(InputError, match="IXI.xls cannot be read as the IXI table"):
        public.fetch(recipe, tmp_path / "a", progress=False)
    server.files["IXI-DTI.tar"] = b"\0" * 20_000
    with pytest.raises(InputError, match="IXI-DTI.tar"):
        public.fetch(dataclasses.replace(recipe, files=dict.fromkeys(recipe.files)), tmp_path / "b", progress=False)
    assert not find_images(Path(tmp_path / "b"))


def test_from_the_command_line(server, tmp_path, capsys, monkeypatch):
    assert cli.main(["cohort", "list"]) == 0
    assert "aomic-piop2      226" in capsys.readouterr().out
    serve_piop2(server, small_tables("sub-0015"))
    recipe = dataclasses.asdict(public.load("aomic-piop2")) | {"url": server.url}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    assert cli.main(["cohort", "fetch", str(tmp_path / "mine.yaml"), str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Licence CC0; cite: Snoek" in said and "fetched    8" in said
    assert cli.main(["cohort", "fetch", "hcp", str(tmp_path / "out")]) == 2
    assert "Known: aomic-id1000" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "requests", None)  # as without the extra
    for name in ("openneuro", "download"):
        monkeypatch.delitem(sys.modules, f"dwikit.cohorts.public.{name}")
    assert cli.main(["cohort", "fetch", "aomic-piop2", str(tmp_path / "out")]) == 2
    assert "pip install -e '.[acquire]'" in capsys.readouterr().err
