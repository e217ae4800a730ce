"""What `tlkeras export` and `tlkeras benchmark` show: lines, and tables as a header and its rows."""

from collections.abc import Iterator, Sequence

from tlkeras.evaluation.limits import Limits
from tlkeras.export.benchmark import Benchmark, Latency
from tlkeras.export.budget import Variant
from tlkeras.summary import format_size

Part = str | tuple[tuple[str, ...], list[tuple[str, ...]]]


def measured_parts(measured: Benchmark) -> Iterator[Part]:
    """Yield what was measured of one artefact."""
    header: tuple[str, ...] = ("threads", "ms, 10 % are faster", "median", "90 % are faster", "runs")
    yield header, [_latency_row(latency) for latency in measured.latencies]
    yield (
        f"\n{format_size(measured.size_bytes)}, loads in {1000 * measured.load_seconds:.0f} ms, takes at most "
        f"{format_size(measured.peak_bytes)} of memory beyond Python's own.\n"
        "One example at a time, without decoding or tokenizing, on this machine. On a phone: not measured."
    )


def variant_parts(variants: Sequence[Variant], limits: Limits) -> Iterator[Part]:
    """Yield the table of a model's forms."""
    measure = variants[0].parity.measure.replace("_", " ")
    header: tuple[str, ...] = ("file", "size", f"test {measure}", "same label", "ms (threads)", "memory", "fits")
    yield header, [_row(variant, limits) for variant in variants]
    yield "\nms: the 90th percentile on this machine, one example at a time. On a phone: not measured."


def _latency_row(latency: Latency) -> tuple[str, ...]:
    times = (f"{time:.2f}" for time in (latency.p10, latency.p50, latency.p90))
    return str(latency.threads), *times, str(latency.n)


def _row(variant: Variant, limits: Limits) -> tuple[str, ...]:
    parity, fastest = variant.parity, variant.benchmark.fastest
    return (
        variant.artifact.path.name,
        format_size(variant.artifact.size_bytes),
        "?" if parity.measure_artifact is None else f"{parity.measure_artifact:.4f}",
        "" if parity.label_agreement is None else f"{parity.label_agreement:.1%}",
        f"{fastest.p90:.2f} ({fastest.threads})",
        format_size(variant.benchmark.peak_bytes),
        variant.objection(limits) or "yes",
    )
