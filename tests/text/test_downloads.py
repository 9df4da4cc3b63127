"""Downloads: real pip, real archives, real processes, each test with a cache of its own."""

import dataclasses
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import venv
from pathlib import Path

import pytest
from safetensors import safe_open

from rmlib.text import downloads
from rmlib.text.downloads import ASSETS, AssetError, fetch, fetch_all

# a registry that refuses the connection at once, and none of the machine's own settings
UNREACHABLE = dict.fromkeys(["PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"], "")
UNREACHABLE |= {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/",
    "HF_HUB_OFFLINE": "1",
}
RATED = "tweets_GroundTruth.txt"


@pytest.fixture(scope="session")
def minilm():
    return fetch("minilm")


@pytest.fixture(scope="session")
def tweets():
    return fetch("tweets")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RMLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RMLIB_ASSETS", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch):
    for name, value in UNREACHABLE.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def own_folder(tweets, tmp_path, monkeypatch, offline):
    """RMLIB_ASSETS with the unpacked tweets, and no registry."""
    folder = tmp_path / "own"
    shutil.copytree(tweets, folder / "tweets")
    monkeypatch.setenv("RMLIB_ASSETS", str(folder))
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def listing(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if path.suffix != ".lock"]


def damage(path: Path, how: str = "one bit"):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data if how == "one bit" else data[: len(data) // 2])


def run(*command: str, **env) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=120
    )


def test_tweets_come_from_the_registry_with_a_progress_bar(cache, capfd):
    home = fetch("tweets")
    rated = (home / RATED).read_text(encoding="utf-8-sig").splitlines()
    ratings = (home / "tweets_anonDataRatings.txt").read_text(encoding="utf-8-sig").splitlines()
    assert len(rated) == len(ratings) == 4200  # the number the paper gives
    assert contents(home).keys() == ASSETS["tweets"].members.keys()
    assert "tweets: 100%" in capfd.readouterr().err and listing(cache) == ["tweets"]


def test_minilm_is_the_model_it_should_be(minilm):
    from transformers import AutoTokenizer

    with safe_open(minilm / "model.safetensors", "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in list(file.keys())}
    assert shapes["embeddings.word_embeddings.weight"] == [30522, 384]
    assert len([name for name in shapes if name.endswith("attention.self.query.weight")]) == 6
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    assert tokenizer.is_fast and len(tokenizer) == 30522
    assert tokenizer.tokenize("Fine-tuning BERT") == ["fine", "-", "tuning", "bert"]


def test_conll2003_needs_consent_once(cache, capsys):
    with pytest.raises(
        AssetError,
        match="research only.*rmlib fetch --accept-licence conll2003.*accept_licence=True",
    ):
        fetch("conll2003")
    assert not cache.exists()

    home = fetch("conll2003", accept_licence=True, progress=False)
    assert capsys.readouterr().err == ""
    published = {"train": 14041, "valid": 3250, "test": 3453}
    for split, sentences in published.items():
        blocks = (home / f"{split}.txt").read_text(encoding="utf-8").strip().split("\n\n")
        assert sum(not block.startswith("-DOCSTART-") for block in blocks) == sentences

    assert fetch("conll2003") == home  # the consent lies beside the files
    (home / downloads.ACCEPTED).unlink()
    with pytest.raises(AssetError, match="needs your consent"):
        fetch("conll2003")


def test_works_offline_from_the_cache(cache, tweets, offline):
    shutil.copytree(tweets, cache / "tweets")
    assert fetch("tweets") == cache / "tweets"
    # not even a lock: the cache may be read-only
    assert [path.name for path in cache.iterdir()] == ["tweets"]


def test_offline_without_a_cache_says_what_to_do(cache, offline):
    advice = "connect once and run `rmlib fetch`, or put vaderSentiment-3.3.2.tar.gz in a folder"
    with pytest.raises(AssetError, match=f"{advice} and set RMLIB_ASSETS") as error:
        fetch("tweets")
    assert "\n" not in str(error.value) and listing(cache) == []


@pytest.mark.parametrize("how", ["one bit", "half", "gone"])
def test_a_damaged_file_in_the_cache_is_fetched_again(how, cache, tweets, own_folder, capsys):
    shutil.copytree(tweets, cache / "tweets")
    path = cache / "tweets" / RATED
    path.unlink() if how == "gone" else damage(path, how)
    assert contents(fetch("tweets")) == contents(tweets)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and RATED in lines[0] and "fetching tweets again" in lines[0]
    assert listing(cache) == ["tweets"]


def test_a_wrong_hash_in_the_own_folder_is_refused(cache, own_folder):
    path = own_folder / "tweets" / RATED
    right = contents(path.parent)[RATED]
    damage(path)
    with pytest.raises(AssetError) as error:
        fetch("tweets")
    assert all(
        part in str(error.value) for part in (str(path), contents(path.parent)[RATED], right)
    )
    assert listing(cache) == []


def pack(files: dict[str, bytes]) -> bytes:
    with tarfile.open(fileobj=(out := io.BytesIO()), mode="w:gz") as tar:
        for name, data in files.items():
            (info := tarfile.TarInfo(name)).size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def forge(folder: Path) -> Path:
    """A source distribution with the right name: its setup script leaves a mark, one member climbs
    out.
    """
    inner = pack({f"hutto_ICWSM_2014/{name}": b"0\t0\tno\n" for name in ASSETS["tweets"].members})
    files = {
        "setup.py": f"open({str(folder / 'it_ran')!r}, 'w')".encode(),
        "../../../climbed": b"out",
    }
    files["additional_resources/hutto_ICWSM_2014.tar.gz"] = inner
    folder.mkdir()
    archive = folder / ASSETS["tweets"].archive
    archive.write_bytes(
        pack({f"vaderSentiment-3.3.2/{name}": data for name, data in files.items()})
    )
    return archive


@pytest.mark.parametrize("source", ["registry", "own folder"])
def test_a_forged_archive_is_refused_before_anything_in_it_runs(
    source, cache, tmp_path, monkeypatch, offline
):
    archive = forge(tmp_path / "forged")
    if source == "registry":
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    else:
        monkeypatch.setenv("RMLIB_ASSETS", str(archive.parent))
    with pytest.raises(AssetError, match="refused") as error:
        fetch("tweets")
    for digest in (contents(archive.parent)[archive.name], ASSETS["tweets"].sha256):
        assert digest in str(error.value)
    assert not (archive.parent / "it_ran").exists() and listing(cache) == []


def test_only_the_named_members_are_read(cache, tmp_path, monkeypatch):
    archive = forge(tmp_path / "forged")
    members = dict.fromkeys(ASSETS["tweets"].members, hashlib.sha256(b"0\t0\tno\n").hexdigest())
    asset = dataclasses.replace(
        ASSETS["tweets"], sha256=contents(archive.parent)[archive.name], members=members
    )
    monkeypatch.setitem(ASSETS, "tweets", asset)
    monkeypatch.setenv("RMLIB_ASSETS", str(archive.parent))
    assert contents(fetch("tweets")) == members
    assert not list(tmp_path.rglob("climbed")) and not list(tmp_path.rglob("it_ran"))


FETCH = [
    sys.executable,
    "-c",
    "from rmlib.text.downloads import fetch; print(fetch('tweets', progress=False))",
]


def test_two_processes_at_once_fetch_once(cache, tmp_path, tweets):
    log = tmp_path / "pip.txt"
    env = {**os.environ, "PIP_LOG": str(log)}
    both = [subprocess.Popen(FETCH, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].strip() for process in both]
    assert said == [str(cache / "tweets")] * 2
    assert [process.returncode for process in both] == [0, 0]
    assert log.read_text(encoding="utf-8").count("Saved ") == 1
    assert contents(cache / "tweets") == contents(tweets) and listing(cache) == ["tweets"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_a_killed_process_leaves_nothing_half_done(cache, tweets, own_folder):
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in (*UNREACHABLE, "RMLIB_ASSETS")
    }
    process = subprocess.Popen(FETCH, env=env, start_new_session=True)
    while not list(cache.glob(".tweets-*/requirements.txt")):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)  # pip too: it would go on for a while and end by itself
    assert process.wait() == -signal.SIGKILL
    assert (
        len(listing(cache)) == 1 and not (cache / "tweets").exists()
    )  # the staging folder and nothing else
    assert contents(fetch("tweets")) == contents(tweets)  # the dead process holds no lock
    assert listing(cache) == ["tweets"]


def test_a_nearly_full_disk_is_seen_before_the_download(cache, own_folder, monkeypatch):
    monkeypatch.setattr(
        downloads.shutil,
        "disk_usage",
        lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6),
    )
    with pytest.raises(
        AssetError, match="no space left in .*cache: tweets needs about 30 MB; .*RMLIB_CACHE"
    ):
        fetch("tweets")
    assert listing(cache) == []


@pytest.mark.parametrize("source", ["registry", "own folder"])
def test_a_disk_that_fills_up_on_the_way(source, cache, tweets, tmp_path):
    """A real disk of 700 kB. The free space is looked at first, so that look is the one thing left
    out.
    """
    code = (
        "import rmlib.text.downloads as a\n"
        "a.shutil.disk_usage = lambda path: a.shutil._ntuple_diskusage(9e9, 0, 9e9)\n"
        "try: a.fetch('tweets', progress=False)\n"
        "except a.AssetError as error:\n"
        "    print(error, [p for p in a.cache_dir().iterdir() if p.is_dir()])"
    )
    if shutil.which("unshare") is None or run("unshare", "-Urm", "true").returncode != 0:
        pytest.skip("may not mount a small disk here")
    cache.mkdir()
    shutil.copytree(tweets, tmp_path / "own" / "tweets")
    env = {} if source == "registry" else {"RMLIB_ASSETS": str(tmp_path / "own")}
    mount = 'mount -t tmpfs -o size=700k none "$RMLIB_CACHE" && exec "$0" -c "$1"'
    done = run("unshare", "-Urm", "sh", "-c", mount, sys.executable, code, **env)
    assert done.stdout.startswith("no space left in ") and done.stdout.endswith(" []\n"), done
    assert "tweets needs about 30 MB" in done.stdout


def test_a_cache_that_cannot_be_used(cache, tweets):
    cache.write_text("a file, not a folder")
    with pytest.raises(AssetError, match="cannot use the cache folder .*cache.*set RMLIB_CACHE"):
        fetch("tweets")


@pytest.mark.skipif(sys.platform == "win32", reason="needs links to files")
@pytest.mark.parametrize("changed", [False, True])
def test_without_pip_minilm_comes_from_the_model_hub(changed, cache, tmp_path, minilm):
    """The hub stands on this disk: the hub library's own cache, in its own layout, read by its own
    code.
    """
    revision = "0" * 40
    hub = tmp_path / "hub" / "models--sentence-transformers--all-MiniLM-L6-v2"
    shutil.copytree(minilm, hub / "snapshots" / revision, ignore=lambda *_: ["model.safetensors"])
    (hub / "snapshots" / revision / "model.safetensors").symlink_to(minilm / "model.safetensors")
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text(revision)
    if changed:
        damage(hub / "snapshots" / revision / "config.json")
    venv.create(tmp_path / "no_pip", with_pip=False, symlinks=True)
    no_pip = str(tmp_path / "no_pip" / "bin" / "python")
    code = f"import sys; sys.executable = {no_pip!r}\n"
    code += "from rmlib.text.downloads import fetch; print(fetch('minilm'))"
    done = run(sys.executable, "-c", code, HF_HUB_CACHE=str(tmp_path / "hub"), **UNREACHABLE)
    if changed:
        assert done.returncode == 1 and listing(cache) == []
        error = done.stderr.splitlines()[-1]
        for part in ("this Python has no pip", "config.json has sha256", "refused"):
            assert part in error
    else:
        assert done.stdout.strip() == str(cache / "minilm"), done.stderr
        assert contents(cache / "minilm") == contents(minilm) and listing(cache) == ["minilm"]


def test_the_hub_out_of_reach_is_one_sentence(tmp_path):
    calls = [
        "hub_file('owner/name', 'data/train.json', repo_type='dataset')",
        "hub_snapshot('owner/name')",
        "hub_snapshot('no such/name/at/all')",
        "hub_snapshot('owner/name', ['*.json', '*.bin'])",
    ]
    tries = [f"try: {call}\nexcept AssetError as error: print(error)" for call in calls]
    code = "\n".join(["from rmlib.text.downloads import *", *tries])
    done = run(sys.executable, "-c", code, HF_HUB_CACHE=str(tmp_path), **UNREACHABLE)
    said = done.stdout.splitlines()
    assert said[:2] == ["owner/name: no model hub reached; give a local folder instead"] * 2, done
    assert (
        said[2]
        == "no such/name/at/all: neither a local folder nor a name on the model hub (owner/name)"
    )
    assert "'*.bin'" in said[3] and ".safetensors, .json or .txt" in said[3] and len(said) == 4


def test_fetch_all_prints_what_came_from_where(cache, own_folder, minilm, capsys):
    shutil.copytree(minilm, cache / "minilm")
    fetch_all(progress=False)
    said = capsys.readouterr().out
    assert (
        f"tweets: 2.5 MB, licence: MIT, in {cache / 'tweets'}" in said
        and "Hutto and Gilbert" in said
    )
    assert "conll2003: left out" in said and "rmlib fetch --accept-licence conll2003" in said
    with pytest.raises(AssetError, match="unknown asset 'conll': did you mean 'conll2003'"):
        fetch_all(["conll"])
