"""Micro-batching: what is computed together, what is not, and who gets an error."""

import asyncio
import threading

import numpy as np
import pytest

from tlkeras.serve.batches import Batcher


class _Gate:
    """A model that doubles its rows, notes its batches, and waits at its first batch until it is let go."""

    def __init__(self):
        self.batches: list[np.ndarray] = []
        self.open = threading.Event()
        self.reached = threading.Event()

    def __call__(self, batch):
        self.batches.append(batch.copy())
        self.reached.set()
        assert self.open.wait(10)
        return 2 * batch.reshape(len(batch), -1)[:, :1].astype(np.float32)


def _row(value, length=3):
    return np.full(length, value)


async def _fill(batcher, gate, rows):
    """Let the first row reach the model, then have the others wait behind it."""
    tasks = [asyncio.create_task(batcher.compute(rows[0]))]
    await asyncio.to_thread(gate.reached.wait, 10)
    tasks += [asyncio.create_task(batcher.compute(row)) for row in rows[1:]]
    await asyncio.sleep(0)
    return tasks


def test_a_row_that_finds_the_model_idle_is_computed_alone_and_at_once():
    async def run():
        batcher = Batcher(lambda batch: batch[:, :1] + 1)
        answers = [await batcher.compute(_row(value)) for value in (1, 5)]
        batcher.close()
        return [int(answer[0]) for answer in answers], batcher.sizes

    assert asyncio.run(run()) == ([2, 6], {1: 2})


def test_rows_that_wait_are_computed_together_and_answered_each_its_own():
    async def run():
        gate = _Gate()
        batcher = Batcher(gate, size=4)
        tasks = await _fill(batcher, gate, [_row(value) for value in range(7)])
        gate.open.set()
        answers = await asyncio.gather(*tasks)
        batcher.close()
        return [int(answer[0]) for answer in answers], [len(batch) for batch in gate.batches]

    assert asyncio.run(run()) == ([0, 2, 4, 6, 8, 10, 12], [1, 4, 2])


def test_rows_of_different_shapes_never_share_a_batch_and_none_is_forgotten():
    async def run():
        gate = _Gate()
        batcher = Batcher(gate)
        rows = [_row(0), _row(1, 2), _row(2, 5), _row(3, 2), _row(4, 5), _row(5, 2)]
        tasks = await _fill(batcher, gate, rows)
        gate.open.set()
        answers = await asyncio.gather(*tasks)
        batcher.close()
        return [int(answer[0]) for answer in answers], [batch.shape for batch in gate.batches]

    assert asyncio.run(run()) == ([0, 2, 4, 6, 8, 10], [(1, 3), (3, 2), (2, 5)])


def test_an_error_reaches_those_of_its_batch_and_the_next_batch_is_computed():
    async def run():
        def model(batch):
            if batch.max() > 1:
                raise FloatingPointError("too much")
            return batch

        batcher = Batcher(model)
        with pytest.raises(FloatingPointError, match="too much"):
            await batcher.compute(_row(7))
        answer = await batcher.compute(_row(1))
        batcher.close()
        return int(answer[0])

    assert asyncio.run(run()) == 1


def test_a_row_that_nobody_waits_for_any_more_is_not_computed():
    async def run():
        gate = _Gate()
        batcher = Batcher(gate)
        tasks = await _fill(batcher, gate, [_row(0), _row(1), _row(2)])
        tasks[1].cancel()
        await asyncio.sleep(0)
        gate.open.set()
        answers = [await tasks[0], await tasks[2]]
        batcher.close()
        return [int(answer[0]) for answer in answers], [batch[:, 0].tolist() for batch in gate.batches]

    assert asyncio.run(run()) == ([0, 4], [[0], [2]])


def test_many_rows_are_computed_a_batch_at_a_time_with_others_between():
    async def run():
        seen = []

        def model(batch):
            seen.append(batch[:, 0].tolist())
            return batch

        batcher = Batcher(model, size=2)
        many = asyncio.create_task(batcher.compute_many(np.arange(10).reshape(5, 2)))
        await asyncio.sleep(0)
        one = await batcher.compute(np.array([100, 100]))
        rows = await many
        batcher.close()
        return rows[:, 0].tolist(), int(one[0]), seen

    rows, one, seen = asyncio.run(run())
    assert (rows, one) == ([0, 2, 4, 6, 8], 100)
    assert seen.index([100]) < seen.index([8])
