import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from molzoo.data.download import Download, fetch, need, unpack

GOOD = b"x" * 5000
SHA = hashlib.sha256(GOOD).hexdigest()


@pytest.fixture
def server(monkeypatch):
    """A server on this machine, and the paths it was asked for."""
    monkeypatch.delenv("MOLZOO_OFFLINE")
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path == "/refused":
                return self.send_error(403)
            if self.path == "/broken":
                return self.send_error(500)
            body = b"y" * 5000 if self.path == "/other" else GOOD
            self.send_response(200)
            if self.path != "/unsized":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:100] if self.path == "/truncated" else body)
            return None

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def test_mirrors_are_tried_until_one_gives_the_file_whole(server, tmp_path):
    url, asked = server
    target = tmp_path / "folder" / "file.bin"
    mirrors = tuple(f"{url}/{name}" for name in ("refused", "truncated", "other", "good", "never"))
    assert fetch(mirrors, target, SHA) == target
    assert target.read_bytes() == GOOD
    assert asked == ["/refused", "/truncated", "/truncated", "/truncated", "/other", "/good"]
    assert list(target.parent.iterdir()) == [target]  # no .part is left


def test_a_failure_names_each_mirror_its_reason_and_the_way_by_hand(server, tmp_path):
    url, _ = server
    target = tmp_path / "file.bin"
    with pytest.raises(FileNotFoundError) as error:
        fetch(tuple(f"{url}/{name}" for name in ("refused", "broken", "truncated", "other")), target, SHA)
    said = str(error.value)
    assert f"{url}/refused: HTTP 403" in said
    assert f"{url}/broken: HTTP 500" in said
    assert f"{url}/truncated: the connection ended after 100 of 5000 bytes" in said
    assert f"{url}/other: its sha256 is" in said
    assert str(target) in said
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there_is_a_reason_too(tmp_path, free_port, monkeypatch):
    monkeypatch.delenv("MOLZOO_OFFLINE")
    with pytest.raises(FileNotFoundError, match="refused"):
        fetch((f"http://127.0.0.1:{free_port}/file",), tmp_path / "file", tries=1)


def test_a_file_that_is_here_is_not_asked_for(server, tmp_path):
    url, asked = server
    (tmp_path / "file").write_bytes(b"mine")
    fetch((f"{url}/good",), tmp_path / "file", SHA)
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert asked == []


def test_a_body_of_unknown_length_is_accepted(server, tmp_path):
    url, _ = server
    assert fetch((f"{url}/unsized",), tmp_path / "file", SHA).read_bytes() == GOOD


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_offline_asks_nobody(server, tmp_path, monkeypatch, how):
    url, asked = server
    if how == "environment":
        monkeypatch.setenv("MOLZOO_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="not asked"):
        fetch((f"{url}/good",), tmp_path / "file", offline=True if how == "argument" else None)
    assert asked == []


def archives(folder):
    members = {"set/npz/a.npz": b"A", "../../b.csv": b"B", "set/._a.npz": b"junk", "c.txt": b"C"}
    with zipfile.ZipFile(folder / "set.zip", "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    with tarfile.open(folder / "set.tar.bz2", "w:bz2") as file:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            file.addfile(header, io.BytesIO(content))
        link = tarfile.TarInfo("d.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    return ["set.zip", "set.tar.bz2"]


@pytest.mark.parametrize("name", ["set.zip", "set.tar.bz2"])
def test_only_the_needed_members_are_unpacked_where_we_say(tmp_path, name):
    inner = tmp_path / "x" / "y"
    inner.mkdir(parents=True)
    archives(inner)
    a, b = need(inner, ["npz_data/a.npz", "splits/b.csv"], Download(name, ()))
    assert (a.read_bytes(), b.read_bytes()) == (b"A", b"B")
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"x/y/set.zip", "x/y/set.tar.bz2", "x/y/npz_data/a.npz", "x/y/splits/b.csv"}
    with pytest.raises(FileNotFoundError, match=r"holds no e.npz"):
        unpack(inner / name, [inner / "e.npz"])


def test_links_in_an_archive_are_not_followed(tmp_path):
    archives(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no"):
        unpack(tmp_path / "set.tar.bz2", [tmp_path / "d.txt"])


def test_files_that_came_by_hand_need_no_archive(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"A")
    assert need(tmp_path, ["a.npz"], Download("set.zip", ("http://nowhere.invalid/",))) == [tmp_path / "a.npz"]


def test_every_published_host_is_asked_over_tls_first():
    from molzoo.data import md17, qm9, rmd17

    for mirrors in (rmd17.ARCHIVE.mirrors, qm9.STRUCTURES.mirrors, qm9.EXCLUDED.mirrors, md17._HOSTS):
        assert mirrors[0].startswith("https://")
