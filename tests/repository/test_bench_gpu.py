"""`make bench-gpu` on a CPU with a small part of the model. Its figures for a GPU need a GPU."""

import pytest

from tools.bench_gpu import COUNTS, main


def test_it_prints_step_times_relative_to_the_memory_bandwidth(capsys: pytest.CaptureFixture[str]) -> None:
    main(device="cpu", layers=1, scale=64)
    first, second, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("CPU, torch ") and first.endswith("SdpaAttention, graphs: False")
    assert " GB of weights, copied memory " in second
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[0] for row in rows] == [str(count) for count in COUNTS]
    assert all(float(step) > 0 and float(rate) > 0 and share.endswith("%") for _, step, rate, share in rows)
