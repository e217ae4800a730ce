"""What `tlkeras rank` does: a ranking or a depth probe of data by its name, and their files."""

from pathlib import Path

from tlkeras.data.examples import Splits
from tlkeras.data.health.inventory import guess_modality
from tlkeras.data.load import find_data, load_images, load_texts
from tlkeras.evaluation.depth import Depth, probe_depth
from tlkeras.evaluation.limits import Limits, parse_size, parse_time
from tlkeras.evaluation.rank import rank
from tlkeras.evaluation.ranking import Ranking
from tlkeras.files import write_file, write_json
from tlkeras.plots import save_depth, save_ranking
from tlkeras.report.rank_settings import RankSettings


def rank_data(data: str, settings: RankSettings) -> Ranking | Depth:
    """Rank source models for data, or probe the depth of one, and write the files if a folder is given.

    Raises:
        ValueError: A setting cannot be used.
        TlkerasError: See `load_images` and `rank`.
    """
    limits = Limits(
        megabytes=parse_size(settings.max_size) if settings.max_size else None,
        milliseconds=parse_time(settings.max_latency) if settings.max_latency else None,
        licence=settings.licence,
    )
    splits = load_data(data, settings)
    if settings.depth:
        depth = probe_depth(
            splits,
            settings.depth,
            limit=settings.limit,
            image_size=settings.image_size,
            sequence_length=settings.sequence_length,
            seed=settings.seed,
        )
        if settings.output:
            save_depth_files(depth, settings.output)
        return depth
    ranking = rank(
        splits,
        [name.strip() for name in settings.sources.split(",") if name.strip()] if settings.sources else None,
        limits=limits,
        limit=settings.limit,
        image_size=settings.image_size,
        sequence_length=settings.sequence_length,
        seed=settings.seed,
    )
    if settings.output:
        save_ranking_files(ranking, settings.output)
    return ranking


def load_data(data: str, settings: RankSettings) -> Splits:
    """Load pictures or texts, whichever it is."""
    modality = {"pictures": "image", "texts": "text", None: None}[settings.kind] or _modality(data, settings)
    if modality == "image":
        return load_images(
            data,
            image_column=settings.image_column,
            label_column=settings.label_column,
            target=settings.target,
            seed=settings.seed,
        )
    return load_texts(
        data,
        text_column=settings.text_column,
        label_column=settings.label_column,
        target=settings.target,
        seed=settings.seed,
    )


def _modality(data: str, settings: RankSettings) -> str:
    if settings.image_column or settings.text_column:
        return "image" if settings.image_column else "text"
    location, _ = find_data(data, "image")
    if location.kind == "folder":
        return guess_modality(location.path)
    return "image" if location.kind in ("sample", "imagefolder") else "text"


def save_ranking_files(ranking: Ranking, folder: Path) -> None:
    """Write `ranking.json` and `ranking.png`."""
    write_json(folder / "ranking.json", ranking.to_json())
    rows = [
        {
            "name": one.name,
            "score": one.score.value,
            "low": one.score.low,
            "high": one.score.high,
            "order": one.explained.value,
            "order_low": one.explained.low,
            "order_high": one.explained.high,
            "milliseconds": one.latency_ms,
            "tied": one.tied,
        }
        for one in ranking.sources
    ]
    null = ranking.null.value if ranking.null else None
    write_file(folder / "ranking.png", lambda path: save_ranking(rows, path, metric=ranking.metric, null=null))


def save_depth_files(depth: Depth, folder: Path) -> None:
    """Write `depth.json` and `depth.png`."""
    write_json(folder / "depth.json", depth.to_json())
    rows = [
        {"block": one.block, "score": one.score.value, "low": one.score.low, "high": one.score.high} for one in depth.boundaries
    ]
    write_file(
        folder / "depth.png",
        lambda path: save_depth(rows, path, metric=depth.metric, source=depth.source, enough=depth.enough),
    )
