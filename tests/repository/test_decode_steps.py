"""`make bench-gpu` itself, tried on a CPU with a small part of the model: what it prints of a GPU only a GPU can tell."""

import pytest

from tools.decode_steps import COUNTS, main


def test_it_tells_step_times_beside_the_memorys_limit(capsys: pytest.CaptureFixture[str]) -> None:
    main(device="cpu", layers=1, scale=64)
    first, second, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("CPU, torch ") and first.endswith("SdpaAttention, graphs: False")
    assert " GB of weights, copied memory " in second
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[0] for row in rows] == [str(count) for count in COUNTS]
    assert all(float(step) > 0 and float(rate) > 0 and share.endswith("%") for _, step, rate, share in rows)
