"""Downloads over a bad network: tried in turn, gone on with, and never mistaken for the file."""

import hashlib
import random
import re
import urllib.request
from pathlib import Path

import pytest
from file_server import Answer, serving

from reproduction.data import download
from reproduction.data.download import DownloadError, fetch

CONTENT = random.Random(0).randbytes(1_000_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
HTML = b"\n<!DOCTYPE html><html><body>Log in first</body></html>"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serving() as server:
        server.answers["good"] = Answer(CONTENT)
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "archive.tar.gz"


def part(target):
    return target.with_name("archive.tar.gz.part")


def get(server, target, *paths):
    fetch([server.url(path) for path in paths], target, MD5)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_the_first_address_is_asked_once_and_the_others_not(server, target):
    get(server, target, "good", "other")
    assert server.asked == [("good", None)]


BAD = {
    "missing": (Answer(status=404), "HTTP 404 Not Found"),
    "forbidden": (Answer(status=403), "HTTP 403 Forbidden"),
    "busy": (Answer(status=503), "HTTP 503 Service Unavailable"),
    "too many": (Answer(status=429), "HTTP 429 Too Many Requests"),
    "a web page": (Answer(HTML, kind="text/html"), "sent a web page (HTML) instead of the file"),
    "a web page said to be an archive": (Answer(HTML), "sent a web page (HTML) instead of the file"),
    "another file": (Answer(CONTENT[::-1]), "what it sent is another file (md5 differs)"),
    "too short": (Answer(CONTENT[:-1]), "what it sent is another file (md5 differs)"),
    "too long": (Answer(CONTENT + b"x"), "what it sent is another file (md5 differs)"),
    "nothing": (Answer(b""), "what it sent is another file (md5 differs)"),
    "cut off": (Answer(CONTENT, cut_after=0), "cut off after 0 of 1,000,000 bytes"),
    "cut off, no resumption": (Answer(CONTENT, ranges=False, cut_after=400_000), "cut off after 400,000 of 1,000,000"),
    "a circle": (Answer(status=302, location="/bad"), "HTTP 302"),
}


@pytest.mark.parametrize("name", BAD)
def test_after_a_bad_address_comes_the_next_one(server, target, name):
    server.answers["bad"], _ = BAD[name]
    get(server, target, "bad", "good")


@pytest.mark.parametrize("name", BAD)
def test_where_no_address_gives_the_file_the_error_says_why_for_each(server, target, name):
    server.answers["bad"], why = BAD[name]
    with pytest.raises(DownloadError) as error:
        fetch([server.url("bad"), server.url("gone")], target, MD5)
    assert f"{server.url('bad')}: {why}" in str(error.value)
    assert f"{server.url('gone')}: HTTP 404 Not Found" in str(error.value)
    assert not target.exists()


@pytest.mark.parametrize("address", ["not an address", "/a/path", "ftps://127.0.0.1/x", "http://[/x", "http://a:x/"])
def test_what_is_no_address_is_said_to_be_none(server, target, address):
    with pytest.raises(DownloadError, match=re.escape(f"{address}: ")):
        fetch([address], target, MD5)
    fetch([address, server.url("good")], target, MD5)
    assert target.read_bytes() == CONTENT


def test_an_address_may_be_a_file_of_this_machine(tmp_path, target):
    (tmp_path / "copy").write_bytes(CONTENT)
    fetch([(tmp_path / "copy").as_uri()], target, MD5)
    assert target.read_bytes() == CONTENT


def test_no_password_or_token_of_an_address_is_shown(server, target):
    with pytest.raises(DownloadError) as error:
        fetch([server.url("x?token=secret"), "http://me:secret@127.0.0.1:9/x"], target, MD5)
    assert "secret" not in str(error.value)


# --- going on


def test_a_download_that_is_cut_off_goes_on_where_it_was(server, target):
    server.answers["cut"] = Answer(CONTENT, cut_after=400_000)
    get(server, target, "cut", "other")
    assert server.asked == [("cut", None), ("cut", "bytes=400000-"), ("cut", "bytes=800000-")]


def test_the_next_address_is_asked_for_the_rest_only(server, target):
    server.answers["cut"] = Answer(CONTENT, ranges=False, cut_after=400_000)
    get(server, target, "cut", "good")
    assert server.asked == [("cut", None), ("cut", "bytes=400000-"), ("good", "bytes=400000-")]


def test_an_address_that_redirects_is_asked_for_the_rest_only(server, target):
    part(target).write_bytes(CONTENT[:300_000])
    server.answers["moved"] = Answer(status=302, location="/good")
    get(server, target, "moved")
    assert server.asked[-1] == ("good", "bytes=300000-")


def test_what_an_earlier_start_left_is_gone_on_with(server, target):
    server.answers["cut"] = Answer(CONTENT, ranges=False, cut_after=400_000)
    with pytest.raises(DownloadError):
        fetch([server.url("cut")], target, MD5)
    assert part(target).read_bytes() == CONTENT[:400_000]
    server.asked.clear()
    get(server, target, "good")
    assert server.asked == [("good", "bytes=400000-")]


def test_an_address_that_cannot_resume_sends_all_again(server, target):
    part(target).write_bytes(CONTENT[:300_000])
    server.answers["whole"] = Answer(CONTENT, ranges=False)
    get(server, target, "whole")
    assert server.asked == [("whole", "bytes=300000-")]


def test_one_that_cannot_resume_and_is_cut_off_earlier_takes_nothing_away(server, target):
    part(target).write_bytes(CONTENT[:900_000])
    server.answers["cut"] = Answer(CONTENT, ranges=False, cut_after=100_000)
    with pytest.raises(DownloadError):
        fetch([server.url("cut")], target, MD5)
    assert part(target).read_bytes() == CONTENT[:900_000]


def test_a_whole_file_is_not_asked_for_again(server, target):
    part(target).write_bytes(CONTENT)
    get(server, target, "good")
    assert server.asked == []


@pytest.mark.parametrize("left", [b"something else", CONTENT[::-1], CONTENT + b"more", HTML], ids=len)
def test_what_is_no_part_of_the_file_is_thrown_away(server, target, left):
    part(target).write_bytes(left)
    get(server, target, "good")


def test_what_is_longer_than_the_file_is_cut_to_its_length(server, target):
    part(target).write_bytes(CONTENT[::-1] + b"more")
    get(server, target, "good")
    assert server.asked == [("good", "bytes=1000004-"), ("good", None)]


def test_a_part_that_begins_elsewhere_is_not_put_there(server, target):
    part(target).write_bytes(CONTENT[:300_000])
    server.answers["shifted"] = Answer(CONTENT, shift=5)
    with pytest.raises(DownloadError, match="sent bytes from 300,005 on, asked for those from 300,000 on"):
        fetch([server.url("shifted")], target, MD5)
    assert part(target).read_bytes() == CONTENT[:300_000]


# --- silence, and slow addresses


def test_an_address_from_which_nothing_comes_is_given_up(server, target, monkeypatch):
    monkeypatch.setattr(download, "_SECONDS_OF_SILENCE", 0.5)
    server.answers["silent"] = Answer(CONTENT, cut_after=0, silent=True)
    with pytest.raises(DownloadError, match=r"nothing came for 0\.5 s"):
        fetch([server.url("silent")], target, MD5)
    get(server, target, "silent", "good")


def test_a_download_that_falls_silent_goes_on_where_it_was(server, target, monkeypatch):
    monkeypatch.setattr(download, "_SECONDS_OF_SILENCE", 0.5)
    server.answers["silent"] = Answer(CONTENT, cut_after=600_000, silent=True)
    get(server, target, "silent", "other")
    assert server.asked == [("silent", None), ("silent", "bytes=600000-")]


def test_a_slow_address_is_left_for_the_next_which_is_asked_for_the_rest(server, target, monkeypatch):
    monkeypatch.setattr(download, "_SECONDS_TO_JUDGE", 0)
    monkeypatch.setattr(download, "_SLOW", float("inf"))
    server.answers |= {"slow": Answer(CONTENT), "gone": Answer(status=404)}
    get(server, target, "slow", "gone", "good")
    paths, ranges = zip(*server.asked, strict=True)
    assert paths[:3] == ("slow", "gone", "good")
    assert paths[3] in ("slow", "good")  # all are slow: the faster one is taken as it is
    assert len(paths) == 4
    sizes = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges if asked]
    assert sizes == sorted(sizes) and sizes[0] > 0


def test_one_that_is_fast_enough_is_not_left(server, target, monkeypatch):
    monkeypatch.setattr(download, "_SECONDS_TO_JUDGE", 0)
    monkeypatch.setattr(download, "_SLOW", 0)
    get(server, target, "good", "other")
    assert server.asked == [("good", None)]


# --- what is shown, what cannot be written


def test_progress_has_speed_and_time_to_go(server, target, capsys):
    part(target).write_bytes(CONTENT[:500_000])
    get(server, target, "good")
    shown = capsys.readouterr().err
    assert "from 127.0.0.1:  50%" in shown
    assert "500k/1.00M" in shown
    assert "B/s" in shown and "100%" in shown


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a file on a disk that is always full")
def test_a_full_disk_is_an_error_that_names_the_file_and_asks_no_other_address(server, target):
    part(target).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as error:
        fetch([server.url("good"), server.url("other")], target, MD5)
    assert error.value.filename == str(part(target))
    assert [path for path, _ in server.asked] == ["good"]


def test_without_network_the_error_says_so_for_each_address(target, monkeypatch):
    def refuse(*arguments, **options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(DownloadError, match="http://a/x: no route to host; http://b/x: no route to host"):
        fetch(["http://a/x", "http://b/x"], target, MD5)
