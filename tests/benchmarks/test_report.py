from __future__ import annotations

from benchmarks.report import busy, quiet, ratios
from benchmarks.slices import FIXED, MANY, ONE, Sample, Samples


def sample(*, rate: float = 100.0, p50: float = 100.0, foreign: float = 0.0) -> Sample:
    return Sample(rate, cpu=10.0, p50=p50, p99=2 * p50, foreign=foreign)


def test_only_quiet_slices_count_where_there_are_enough():
    calm = [sample(foreign=0.01), sample(foreign=0.02), sample(foreign=0.03)]

    assert quiet([sample(foreign=1.5), *calm, sample(foreign=0.9)]) == calm


def test_the_quietest_three_count_where_the_machine_was_busy():
    found = quiet([sample(foreign=share) for share in (0.9, 0.3, 0.1, 0.5, 1.2)])

    assert [one.foreign for one in found] == [0.1, 0.3, 0.5]


def whole_run(*, foreign: float = 0.0) -> Samples:
    """A world where nginx adds 50 us to 50 and does 1,000 a second; the gate 150 and 400 (power 200)."""
    kinds = {
        "direct": (5000.0, 50.0),
        "nginx": (1000.0, 100.0),
        "ostiary": (400.0, 200.0),
        "ostiary power": (200.0, 225.0),
        "ostiary allow-all": (500.0, 150.0),
    }
    return {
        (load.name, name): [sample(rate=rate, p50=p50, foreign=foreign)]
        for load in (ONE, MANY, FIXED)
        for name, (rate, p50) in kinds.items()
    }


def test_each_ratio_is_that_of_its_own_configuration():
    lines = [line.split() for line in ratios(whole_run()).splitlines()[2:]]

    assert [line[-3] for line in lines if "target" not in line and line[-2] in (">=", "<=")] == [
        "0.40",  # req/s
        "0.20",  # with power
        "3.00",  # added p50, one connection
        "3.00",  # added p50, fixed rate
        "3.50",  # with power
        "2.00",  # p99
    ]


def test_a_run_without_nginx_gives_no_ratios():
    samples = {key: found for key, found in whole_run().items() if key[1] != "nginx"}

    assert "they need nginx" in ratios(samples)


def test_a_busy_machine_is_said_to_be_busy():
    assert busy(whole_run(foreign=0.8))
    assert not busy(whole_run())
