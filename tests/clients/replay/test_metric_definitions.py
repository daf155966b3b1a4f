"""Our figures against vLLM's and aiperf's formulas, on the same events."""

from __future__ import annotations

import pytest

from clients.replay.figures.distribution import Distribution
from clients.replay.figures.outcomes import completed
from clients.replay.metrics import Targets, figures
from tests.clients.replay import aiperf_formulas, vllm_formulas
from tests.clients.replay.seeded_run import seeded_run

SEEDS = (1, 2, 3)
NANOSECOND_IN_MS = 1e-6


def spread_ms(found: Distribution) -> list[float]:
    """Return mean, deviation and percentiles in milliseconds."""
    percents = [found.at(percent) for percent in (50, 90, 95, 99)]
    return [1e3 * value for value in (found.mean, found.std, *percents)]


def vllm_spread(found: dict[str, float], name: str) -> list[float]:
    """Return the same of vLLM's report."""
    percents = [found[f"p{p}_{name}"] for p in vllm_formulas.PERCENTS]
    return [found[f"mean_{name}"], found[f"std_{name}"], *percents]


def aiperf_spread(found: dict[str, float], tag: str) -> list[float]:
    """Return the same of aiperf's report."""
    percents = [found[f"{tag}_p{p}"] for p in aiperf_formulas.PERCENTS]
    return [found[f"{tag}_avg"], found[f"{tag}_std"], *percents]


@pytest.mark.parametrize("seed", SEEDS)
def test_completed_replies_are_measured_as_vllm_measures_them(seed: int) -> None:
    """TTFT, TPOT, ITL, E2EL and throughput, to the nanosecond."""
    run = seeded_run(seed)
    theirs = vllm_formulas.report([vllm_formulas.observe(r) for r in run.requests], 10.0, {})
    run.duration_s = 10.0
    ours = figures(run).completed
    for name, found in [
        ("ttft", ours.ttft_s),
        ("tpot", ours.tpot_s),
        ("itl", ours.itl_s),
        ("e2el", ours.e2e_s),
    ]:
        assert spread_ms(found) == pytest.approx(
            vllm_spread(theirs, name), abs=NANOSECOND_IN_MS, rel=0
        )
    assert ours.requests_per_s == pytest.approx(theirs["request_throughput"], rel=1e-12)
    assert ours.tokens_per_s == pytest.approx(theirs["output_throughput"], rel=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "limits",
    [
        {"ttft": 700.0},
        {"tpot": 40.0},
        {"e2el": 2000.0},
        {"ttft": 900.0, "tpot": 45.0, "e2el": 2500.0},
    ],
)
def test_goodput_is_vllms(seed: int, limits: dict[str, float]) -> None:
    """Whichever objectives are given; replies of one token keep any TPOT."""
    run = seeded_run(seed)
    outputs = [vllm_formulas.observe(r) for r in run.requests]
    theirs = vllm_formulas.report(outputs, run.duration_s, limits)["request_goodput"]
    seconds = {name: limit / 1e3 for name, limit in limits.items()}
    ours = figures(
        run,
        Targets(
            ttft_s=seconds.get("ttft", 1e9),
            itl_s=None,
            tpot_s=seconds.get("tpot"),
            e2e_s=seconds.get("e2el"),
        ),
    )
    assert 0 < ours.goodput_share < 1
    assert ours.goodput_per_s == pytest.approx(theirs, rel=1e-12)


def test_a_late_terminal_event_lengthens_vllms_tpot_and_not_ours() -> None:
    """Theirs divides the time to the last event, ours that to the last token."""
    run = seeded_run(4, end_lag_ns=30_000_000)
    whole = completed(run.requests)
    theirs = vllm_formulas.report([vllm_formulas.observe(r) for r in whole], 1.0, {})
    ours = figures(run).completed
    assert spread_ms(ours.e2e_s) == pytest.approx(vllm_spread(theirs, "e2el"))
    lags = [
        (r.ended_s - r.token_times_s[-1]) / (tokens - 1)
        for r in whole
        if r.ended_s is not None and (tokens := r.output_tokens or len(r.token_times_s)) > 1
    ]
    assert theirs["mean_tpot"] - 1e3 * ours.tpot_s.mean == pytest.approx(
        1e3 * sum(lags) / len(lags)
    )


def test_the_fullest_second_is_vllms_where_a_piece_is_a_token() -> None:
    """It counts chunks."""
    run = seeded_run(5)
    run.requests = completed(run.requests)
    for request in run.requests:
        request.token_times_s = sorted(set(request.token_times_s))
    theirs = vllm_formulas.max_output_tokens_per_s([vllm_formulas.observe(r) for r in run.requests])
    assert figures(run).peak_tokens_per_s == theirs


@pytest.mark.parametrize("seed", SEEDS)
def test_completed_replies_are_measured_as_aiperf_measures_them(seed: int) -> None:
    """TTFT, TTST, request latency, inter-chunk latency and throughput; ends come late here."""
    run = seeded_run(seed, end_lag_ns=30_000_000)
    theirs = aiperf_formulas.report(aiperf_formulas.parse(run.requests), run.duration_s, {})
    ours = figures(run).completed
    for tag, found in [
        ("time_to_first_token", ours.ttft_s),
        ("time_to_second_token", ours.ttst_s),
        ("request_latency", ours.last_token_s),
    ]:
        assert spread_ms(found) == pytest.approx(
            aiperf_spread(theirs, tag), abs=NANOSECOND_IN_MS, rel=0
        )
    assert 1e3 * ours.itl_s.mean == pytest.approx(theirs["inter_chunk_latency_avg"], abs=1e-6)
    assert 1e3 * ours.itl_s.at(99) == pytest.approx(theirs["inter_chunk_latency_p99"], abs=1e-6)
    assert ours.requests_per_s == pytest.approx(theirs["request_throughput"], rel=1e-12)
    assert ours.tokens_per_s == pytest.approx(theirs["output_token_throughput"], rel=1e-12)


def test_the_itl_objective_is_aiperfs() -> None:
    """Except for replies of one token: they have no ITL, and aiperf calls that bad."""
    run = seeded_run(6)
    limits = {"inter_token_latency": 40.0, "time_to_first_token": 900.0}
    records = aiperf_formulas.parse(run.requests)
    theirs = aiperf_formulas.report(records, 1.0, limits)["goodput"]
    short = sum(
        record.output_sequence_length == 1
        and aiperf_formulas.record_metrics(record)["time_to_first_token"] <= 900e6
        for record in records
    )
    ours = figures(run, Targets(ttft_s=0.9, itl_s=0.04))
    assert short > 0
    assert round(ours.goodput_per_s * run.duration_s) == round(theirs) + short
