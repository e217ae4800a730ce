"""What the server answers with: one loaded model, a few threads that decode, one that computes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.evaluation import occlusion
from tlkeras.serve import inputs, similar
from tlkeras.serve.batches import Batcher
from tlkeras.serve.limits import Limits
from tlkeras.serve.problems import ProblemError, busy

if TYPE_CHECKING:
    from tlkeras.export.predict import Prediction, Predictor

FindNeighbours = Callable[[], similar.Neighbours]
_DECODERS = 2
"""Pictures that are decoded at the same time; each may take some hundred megabytes while it is."""
_NEAREST = 8


class Engine:
    """Answers requests, one model and its training examples at hand.

    Attributes:
        predictor: The model.
        limits: What is accepted.
        batcher: Feeds the model.
        similar_state: `"none"`, `"preparing"`, `"ready"`, or why there are no training examples.
    """

    def __init__(self, predictor: "Predictor", limits: Limits, find_neighbours: FindNeighbours | None = None) -> None:
        """Get ready; nothing is computed yet.

        Args:
            predictor: The model.
            limits: What is accepted.
            find_neighbours: Reads the training examples; called by `prepare`, in a thread.
        """
        self.predictor = inputs.with_ready_tokenizer(predictor)
        self.limits = limits
        self.batcher = Batcher(_in_one_row(self.predictor))
        self.similar_state = "preparing" if find_neighbours else "none"
        self._find_neighbours = find_neighbours
        self._neighbours: similar.Neighbours | None = None
        self._decoders = ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode")
        self._searcher = ThreadPoolExecutor(1, thread_name_prefix="similar")

    async def prepare(self) -> None:
        """Read the training examples; whatever goes wrong there, predictions go on."""
        if self._find_neighbours is None:
            return
        try:
            self._neighbours = await self._in(self._searcher, self._find_neighbours)
        except Exception as error:
            self.similar_state = f"The training examples cannot be shown: {error}"
        else:
            self.similar_state = "ready"

    def close(self) -> None:
        """Let the threads end."""
        self.batcher.close()
        for pool in (self._decoders, self._searcher):
            pool.shutdown(wait=False, cancel_futures=True)

    async def predict(self, body: bytes, top: int | None = None) -> dict[str, Any]:
        """Return the answer for one picture or text, as JSON values."""
        row, _ = await self._read(body)
        return self._answer(*self._apart(await self.batcher.compute(row)), top)

    async def explain(self, body: bytes, top: int | None = None) -> dict[str, Any]:
        """Return the answer, and how much of it hangs on each part of the input."""
        row, text = await self._read(body)
        output, similarity = self._apart(await self.batcher.compute(row))
        place = self._explained(output)
        explanation = await (
            self._explain_picture(row, output, place) if text is None else self._explain_text(text, output, place)
        )
        of = self.predictor.labels[place]
        return {**self._answer(output, similarity, top), "explanation": {"of": of, **explanation}}

    async def similar(self, body: bytes) -> dict[str, Any]:
        """Return the training examples that are nearest to the input."""
        neighbours = self._neighbours
        if neighbours is None:
            if self.similar_state == "preparing":
                raise busy("The training examples are still being read. Try again.")
            reason = (
                "Serve a run folder to see them: tlkeras serve RUN." if self.similar_state == "none" else self.similar_state
            )
            raise ProblemError(404, f"There are no training examples here. {reason}")
        row, _ = await self._read(body)
        found = await self._in(self._searcher, similar.nearest, neighbours, row, _NEAREST)
        return {"examples": found, "searched": len(neighbours.examples), "training_examples": neighbours.total}

    async def _read(self, body: bytes) -> tuple[np.ndarray, str | None]:
        if self.predictor.modality == "image":
            return await self._in(self._decoders, inputs.picture_row, self.predictor, body, self.limits), None
        text = await self._in(self._decoders, inputs.read_text, body, self.limits)
        return await self._in(self._decoders, inputs.text_row, self.predictor, text), text

    async def _explain_picture(self, pixels: np.ndarray, output: np.ndarray, place: int) -> dict[str, Any]:
        outputs = await self.batcher.compute_many(occlusion.covered_pictures(pixels))
        drops = occlusion.cell_drops(output[place] - outputs[:, place])
        return {"kind": "occlusion", "drops": np.round(drops, 5).tolist(), "picture": similar.picture_uri(pixels)}

    async def _explain_text(self, text: str, output: np.ndarray, place: int) -> dict[str, Any]:
        parts = occlusion.text_parts(text)
        shorter = [inputs.text_row(self.predictor, occlusion.without_part(text, part)) for part in parts]
        outputs = await asyncio.gather(*map(self.batcher.compute, shorter))
        drops = [round(float(output[place] - other[place]), 5) for other in outputs]
        words = [{"text": text[part.start : part.stop], "drop": drop} for part, drop in zip(parts, drops, strict=True)]
        return {"kind": "words", "words": words}

    def _explained(self, output: np.ndarray) -> int:
        """Return the output that is explained: that of the class that was decided for, else the largest."""
        decided = self.predictor.answer("", output).label
        return int(np.argmax(output)) if decided is None else self.predictor.labels.index(decided)

    def _apart(self, row: np.ndarray) -> tuple[np.ndarray, float | None]:
        """Return the outputs and the similarity that stand in one row."""
        width = len(self.predictor.labels)
        return row[:width], float(row[width]) if len(row) > width else None

    def _answer(self, output: np.ndarray, similarity: float | None, top: int | None) -> dict[str, Any]:
        predictor = self.predictor
        return as_json(predictor.answer("", output, similarity), predictor.task, predictor.labels, top)

    async def _in(self, pool: ThreadPoolExecutor, function: Callable, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


def _in_one_row(predictor: "Predictor") -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of a batch to its outputs, with the similarity as one more column where the model gives it."""

    def run(batch: np.ndarray) -> np.ndarray:
        rows = predictor.rows(batch)
        return np.stack([output if similar is None else np.append(output, np.float32(similar)) for output, similar in rows])

    return run


def as_json(prediction: "Prediction", task: str, labels: tuple[str, ...], top: int | None = None) -> dict[str, Any]:
    """Return an answer as JSON values, its numbers rounded as by `tlkeras predict --json`.

    An input that is unlike anything the model was trained on has no probability: the label is "none of these", and with
    several labels there are none. `similarity` stands in every answer of a model that can tell.

    Args:
        prediction: The answer.
        task: The model's task.
        labels: The names of its outputs.
        top: Scores to give, the best first; all if not given.
    """
    if task == "regression":
        return {"task": task, "name": labels[0], "value": float(f"{prediction.value:.9g}")}
    order = prediction.probabilities.argsort()[::-1][:top]
    scores = [{"label": labels[index], "probability": round(float(prediction.probabilities[index]), 6)} for index in order]
    similar = {} if prediction.similarity is None else {"similarity": round(prediction.similarity, 6)}
    common = {"task": task, "scores": scores, "refused": prediction.refused, **similar}
    if task == "multi_label":
        return {**common, "labels": list(prediction.labels)}
    probability = None if prediction.probability is None else round(prediction.probability, 6)
    return {**common, "label": prediction.label, "probability": probability}
