import bz2
import gzip
import io
import os
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.data_files import by_id, png, sizes, words
from tlkeras.data.archive_members import safe_name
from tlkeras.data.archives import Limits, cache_folder, unpack
from tlkeras.data.load import load_images, load_texts
from tlkeras.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep what is unpacked out of the user's cache."""
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "archives"


def members(number=5, top=""):
    """Return the files of two classes of pictures, by name."""
    return {f"{top}{name}/{n}.png": png(100 * place + n) for place, name in enumerate(("cat", "dog")) for n in range(number)}


def zipped(path, files, mode=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", mode) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".unpacked")
    }


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.zip", zipped),
        ("stored.zip", lambda path, files: zipped(path, files, zipfile.ZIP_STORED)),
        ("a.tar", lambda path, files: tarred(path, files, "w")),
        ("a.tar.gz", tarred),
        ("a.tgz", tarred),
        ("a.tar.bz2", lambda path, files: tarred(path, files, "w:bz2")),
        ("a.tar.xz", lambda path, files: tarred(path, files, "w:xz")),
        ("pax.tar", lambda path, files: tarred(path, {f"{'long' * 40}/{n}": d for n, d in files.items()}, "w")),
        ("misnamed.tar", zipped),
    ],
)
def test_every_kind_of_archive_is_unpacked_as_it_was_packed(tmp_path, name, pack):
    files = members()
    path = pack(tmp_path / name, files)
    found = contents(unpack(path))
    assert {name.removeprefix(f"{'long' * 40}/"): data for name, data in found.items()} == files


@pytest.mark.parametrize("tool", ["tar", "zip"])
def test_archives_of_the_system_are_read(tmp_path, tool):
    for name, data in members().items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(data)
    command = ["tar", "-czf", "a.tar.gz", "data"] if tool == "tar" else [sys.executable, "-m", "zipfile", "-c", "a.zip", "data"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    splits = load_images(str(tmp_path / ("a.tar.gz" if tool == "tar" else "a.zip")))
    assert splits.classes == ("cat", "dog") and sum(sizes(splits)) == 10
    assert set(by_id(splits)) == set(members())


@pytest.mark.parametrize("top", ["", "photos/", "a/b/"])
def test_class_folders_in_an_archive_are_loaded_below_any_wrapping(tmp_path, top):
    files = {**members(top=top), "__MACOSX/cat/._0.png": b"x", ".DS_Store": b"x"}
    splits = load_images(zipped(tmp_path / "a.zip", files))
    assert splits.classes == ("cat", "dog") and sum(sizes(splits)) == 10 and splits.skipped == ()
    assert load_images(f"zip:{tmp_path / 'a.zip'}").fingerprint == splits.fingerprint


def test_a_table_of_pictures_in_an_archive_is_loaded(tmp_path):
    files = members(top="set/images/")
    rows = [f"images/{name},{name.split('/')[0]}" for name in members()]
    files["set/labels.csv"] = "\n".join(["path,label", *rows]).encode()
    splits = load_images(tarred(tmp_path / "a.tar.gz", files))
    assert by_id(splits)["images/cat/3.png"] == "cat" and sum(sizes(splits)) == 10


@pytest.mark.parametrize("name", ["reviews.csv.gz", "reviews.zip", "reviews.tar.gz"])
def test_a_single_table_in_an_archive_is_loaded(tmp_path, name):
    text = "\n".join(["text,label", *(f"{words(n)},{'ab'[n % 2]}" for n in range(12))]).encode()
    path = tmp_path / name
    if name == "reviews.csv.gz":
        path.write_bytes(gzip.compress(text))
    else:
        (zipped if name.endswith("zip") else tarred)(path, {"reviews.csv": text, "README.md": b"hello"})
    splits = load_texts(path)
    assert sum(sizes(splits)) == 12 and splits.train.store.where(0).endswith(f"reviews.csv, {splits.train.ids[0]}")


def test_errors_name_the_archive_and_not_the_cache(tmp_path):
    from tlkeras.data.health.inventory import take_inventory

    (tmp_path / "in").mkdir()
    for name in ("one", "two"):
        (tmp_path / "in" / f"{name}.csv").write_text("text,label\n")
    packed = shutil.make_archive(str(tmp_path / "tables"), "zip", tmp_path / "in")
    for read in (load_texts, lambda data: take_inventory(data, modality="text")):
        with pytest.raises(DataError, match=rf"{packed}.*unpack it first") as refused:
            read(packed)
        assert str(cache_folder()) not in str(refused.value)


def test_an_archive_is_unpacked_once_and_again_if_the_cache_was_damaged(tmp_path, cache):
    path = zipped(tmp_path / "a.zip", members())
    folder = unpack(path)
    assert folder.parent == cache == cache_folder() / "archives"
    (folder / "cat" / "0.png").write_bytes(png(7))  # of the same size: not looked at
    assert unpack(path) == folder and (folder / "cat" / "0.png").read_bytes() == png(7)
    (folder / "cat" / "0.png").write_bytes(b"cut")
    assert contents(unpack(path)) == members()
    assert [one.name for one in cache.iterdir()] == [folder.name]


def test_nothing_is_left_of_an_archive_that_is_refused(tmp_path, cache):
    with pytest.raises(DataError):
        unpack(zipped(tmp_path / "a.zip", {**members(), "../out.png": b"x"}))
    assert list(cache.iterdir()) == [] and not (tmp_path / "cache" / "out.png").exists()


ESCAPES = ["../out", "a/../../out", "/etc/out", "..\\out", "C:\\out", "\\\\server\\out", "a/..", "C:out"]


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_leads_out_is_refused(tmp_path, cache, pack, name):
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match=r"refused: it holds (a path that leads out|an absolute path)"):
        unpack(pack(tmp_path / "a", {"fine.png": png(1), name: b"x"}))
    assert {path for path in tmp_path.rglob("*") if path.is_file()} - before == {tmp_path / "a"}


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2J", "x" * 256, "\x7f\x01"])
def test_a_name_that_no_file_should_have_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="a name that no file can have"):
        unpack(tarred(tmp_path / "a.tar", {name: b"x"}))


def entry_of(kind, name="link", target="/etc/passwd"):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(entry_of(kind))
    if kind == tarfile.CONTTYPE:  # a regular file by another name
        assert contents(unpack(tmp_path / "a.tar")) == {"link": b""}
    else:
        with pytest.raises(DataError, match=r"refused: it holds a link or device: 'link'"):
            unpack(tmp_path / "a.tar")


def test_a_link_in_a_zip_is_refused(tmp_path):
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(DataError, match="a link or device: 'link'"):
        unpack(tmp_path / "a.zip")


def test_a_folder_that_is_a_link_first_and_a_folder_later_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(entry_of(tarfile.SYMTYPE, "cat", str(tmp_path)))
        inner = tarfile.TarInfo("cat/out.png")
        archive.addfile(inner, io.BytesIO(b""))
    with pytest.raises(DataError, match="a link or device: 'cat'"):
        unpack(tmp_path / "a.tar")
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("names", [("a", "a"), ("a", "A"), ("a/b", "./a/b"), ("a", "a/b"), ("a/b", "a")])
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_that_contradict_each_other_are_refused(tmp_path, pack, names):
    class Twice(dict):
        def items(self):
            return [(name, b"x") for name in names]

    with pytest.raises(DataError, match=r"two members named|contradict each other"):
        unpack(pack(tmp_path / "a", Twice()))


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_what_is_unpacked_is_counted_against_limits(tmp_path, pack):
    path = pack(tmp_path / "a", {"zeros": bytes(3_000_000), "more": b"x"})
    with pytest.raises(DataError, match="more than 2,000,000 bytes unpacked, which is the limit"):
        unpack(path, limits=Limits(size=2_000_000))
    with pytest.raises(DataError, match="bytes unpacked, which is the limit"):
        unpack(path, limits=Limits(ratio=10, free_ratio=1000))
    with pytest.raises(DataError, match="more than 1 files"):
        unpack(path, limits=Limits(files=1))
    assert len(contents(unpack(path))) == 2


def test_a_size_that_lies_is_found_out(tmp_path):
    path = zipped(tmp_path / "a.zip", {"zeros": bytes(3_000_000)})
    data = bytearray(path.read_bytes())
    for place in (data.find(b"PK\x03\x04") + 22, data.find(b"PK\x01\x02") + 24):
        assert struct.unpack("<I", data[place : place + 4]) == (3_000_000,)
        data[place : place + 4] = struct.pack("<I", 10)
    path.write_bytes(data)
    with pytest.raises(DataError, match="is damaged"):
        unpack(path, limits=Limits(size=1000))


def test_a_header_that_asks_for_memory_is_refused(tmp_path):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**31
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(header.tobuf() + bytes(10_000)))
    with pytest.raises(DataError, match="a header of 2,147,483,648 bytes"):
        unpack(tmp_path / "a.tar.gz")


def test_an_encrypted_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a": b"x"})
    data = bytearray(path.read_bytes())
    for place in (data.find(b"PK\x03\x04") + 6, data.find(b"PK\x01\x02") + 8):
        data[place] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="encrypted members"):
        unpack(path)


@pytest.mark.parametrize(
    ("name", "pack"), [("a.zip", zipped), ("a.tar", lambda p, f: tarred(p, f, "w")), ("a.tar.gz", tarred), ("a.csv.gz", None)]
)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_a_truncated_archive_is_refused(tmp_path, cache, name, pack, share):
    path = tmp_path / name
    if pack:
        pack(path, {f"{n}.bin": os.urandom(2000) for n in range(20)})
    else:
        path.write_bytes(gzip.compress(os.urandom(20_000)))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"damaged or of an unknown kind.*Copy it again"):
        unpack(path)
    assert list(cache.iterdir()) == []


def test_a_tar_that_ends_between_two_files_is_refused(tmp_path):
    path = tarred(tmp_path / "a.tar", {"a": b"x" * 512, "b": b"y" * 512}, "w")
    path.write_bytes(path.read_bytes()[:1024])
    with pytest.raises(DataError, match="it ends too early"):
        unpack(path)


def test_a_damaged_member_is_found(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a": b"some text here"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"some text", b"same text"))
    with pytest.raises(DataError, match="Bad CRC-32"):
        unpack(path)


def test_paths_of_a_table_in_an_archive_may_not_leave_it(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(500))
    files = members(top="images/")
    rows = [f"images/{name},{name.split('/')[0]}" for name in members()]
    rows += [f"{tmp_path / 'secret.png'},cat", "../../../../secret.png,cat"]
    files["labels.csv"] = "\n".join(["path,label", *rows]).encode()
    splits = load_images(zipped(tmp_path / "a.zip", files))
    assert sum(sizes(splits)) == 10
    assert [skipped.reason.split(" leads")[-1] for skipped in splits.skipped] == [" out of the folder of the data"] * 2


def test_names_mean_the_same_on_every_system():
    assert safe_name("a\\b/./c.png").parts == ("a", "b", "c.png")
    for name in ESCAPES:
        with pytest.raises(ValueError, match=r"absolute|leads out"):
            safe_name(name)


def test_the_cache_lies_where_the_user_wants_it(monkeypatch):
    monkeypatch.delenv("TLKERAS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/cache")
    assert cache_folder() == Path("/some/cache/tlkeras")


def test_a_bz2_of_a_table_names_the_way_out(tmp_path):
    (tmp_path / "a.csv.bz2").write_bytes(bz2.compress(b"text,label\n"))
    with pytest.raises(DataError, match=r"cannot be unpacked here. Unpack it"):
        load_texts(tmp_path / "a.csv.bz2")
