"""Parts ``decode`` and ``formats``: steps of published shapes beside what the card allows.

``decode`` measures 16-bit weights and keys: growing numbers of streams, prompts, a shared persona
read together and apart, and what sampling and determinism cost. ``formats`` measures fewer bits.
Floors count weights and keys as they are held, at the rates of the part ``limits``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from engine.sampling_params import SamplingParams
from tools.bench.machine import Limits, ModelShape
from tools.gpu.engine_bench import GREEDY, EngineBench
from tools.gpu.formats import BF16, DETERMINISTIC, FEWER_BITS, Format
from tools.gpu.limits import limits_of
from tools.gpu.options import Options
from tools.gpu.persona import READINGS, Reading, personas_read
from tools.gpu.results import Part, Row
from tools.gpu.shapes import Shape, checkpoint, serial_floor_s, shapes

STREAMS = (1, 8, 32, 64, 128, 256)
FEW_STREAMS = (1, 64)
CONTEXT, SHARED = 1024, 800
_STEPS = 40
_LOAD_S, _LOAD_GIGABYTE_S, _ROW_S = 8.0, 1.5, 3.0
"""Guesses: what making a model ready and one row take. With less time left they are not begun."""
_SAMPLED = SamplingParams(
    temperature=0.8, top_p=0.95, repetition_penalty=1.1, seed=1, ignore_eos=True, max_tokens=1024
)


@dataclass(frozen=True, slots=True)
class _Floor:
    """What a model in a format takes at least.

    Attributes:
        model: Its shape.
        format_: How it is held.
        limits: Of the card, by what is multiplied.
    """

    model: ModelShape
    format_: Format
    limits: dict[str, Limits]

    def decode_s(self, streams: int, num_kv_tokens: float) -> float:
        """Return the least seconds of a decode step."""
        return serial_floor_s(self.model, self.format_.widths, self.limits, streams, num_kv_tokens)

    def prompt_s(self, tokens: int) -> float:
        """Return the least seconds that a prompt's products take."""
        rate = self.limits.get(self.format_.widths.products, self.limits["bf16"]).flops
        return 2 * self.model.body_parameters * tokens / rate


Measure = Callable[[EngineBench, _Floor], Row]


def run(part: Part, options: Options, device: torch.device) -> None:
    """Measure 16 bits, and what determinism costs."""
    del device
    for shape in shapes(options):
        Table(part, options, shape, BF16).fill(all_kinds=True)
    for shape in shapes(options):
        Table(part, options, shape, DETERMINISTIC).fill()


def run_formats(part: Part, options: Options, device: torch.device) -> None:
    """Measure fewer bits; the largest model first, which has the most to gain."""
    del device
    for format_ in FEWER_BITS:
        for shape in reversed(shapes(options)):
            Table(part, options, shape, format_).fill()


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Of what is measured.

    Attributes:
        streams: That decode at a time.
        context: Tokens of each.
        shared: Of them, where a persona is shared.
        steps: That are timed.
    """

    streams: tuple[int, ...]
    context: int
    shared: int
    steps: int

    @classmethod
    def of(cls, options: Options, *, few: bool) -> _Sizes:
        if options.tiny:
            return cls((1, 3), 64, 32, 2)
        return cls(FEW_STREAMS if few or options.quick else STREAMS, CONTEXT, SHARED, _STEPS)


class Table:
    """The rows of one model in one format.

    Args:
        part: Where they go.
        options: Of the run.
        shape: Of the model.
        format_: How it is held.
    """

    def __init__(self, part: Part, options: Options, shape: Shape, format_: Format) -> None:
        self._part, self._options = part, options
        self._shape, self._format = shape, format_
        self._sizes = _Sizes.of(options, few=format_ is DETERMINISTIC)

    def fill(self, *, all_kinds: bool = False) -> None:
        """Load the model if a row is missing, and measure what there is time for.

        Args:
            all_kinds: Personas and sampling too, beside plain steps and a prompt.
        """
        rows = {**self._plain(), **(self._kinds() if all_kinds else {})}
        missing = {name: row for name, row in rows.items() if not self._part.has(name)}
        if not missing:
            return
        if self._part.seconds_left < _LOAD_S + _LOAD_GIGABYTE_S * self._shape.num_bytes / 1e9:
            for name in missing:
                self._part.leave(name)
            return
        with self._part.measuring(self._title):
            limits = limits_of(self._part.rows_of("limits"))
            folder = checkpoint(self._shape, self._options)
            floor = _Floor(ModelShape.of(folder), self._format, limits)
            bench = EngineBench(
                folder,
                most_streams=max(self._sizes.streams),
                context=self._sizes.context,
                **self._format.settings,
            )
            try:
                for name, measure in missing.items():
                    if self._part.wants(name, seconds=_ROW_S):
                        with self._part.measuring(name):
                            self._part.add(name, **self._about, **measure(bench, floor))
            finally:
                bench.close()

    @property
    def _title(self) -> str:
        return f"{self._shape.name}, {self._format.name}"

    @property
    def _about(self) -> Row:
        return {"model": self._shape.name, "format": self._format.name}

    def _plain(self) -> dict[str, Measure]:
        rows: dict[str, Measure] = {
            f"{self._title}, {n} streams": self._decoding(n) for n in self._sizes.streams
        }
        rows[f"{self._title}, a prompt"] = self._prompt
        return rows

    def _kinds(self) -> dict[str, Measure]:
        several = [n for n in self._sizes.streams if n > 1]
        rows: dict[str, Measure] = {
            f"{self._title}, {n} streams, persona read {reading}": self._decoding(
                n, reading=reading
            )
            for n in several
            for reading in READINGS
        }
        most = FEW_STREAMS[-1] if FEW_STREAMS[-1] in several else several[-1]
        rows[f"{self._title}, {most} streams, sampled"] = self._decoding(most, params=_SAMPLED)
        return rows

    def _decoding(
        self, streams: int, *, reading: Reading | None = None, params: SamplingParams = GREEDY
    ) -> Measure:
        def measure(bench: EngineBench, floor: _Floor) -> Row:
            shared = self._sizes.shared if reading is not None else 0
            with personas_read(bench.runner, reading) if reading else nullcontext():
                found = bench.decode(streams, self._sizes.steps, shared=shared, params=params)
            read_once = shared + streams * (found.context - shared)
            floor_s = floor.decode_s(streams, read_once)
            each_s = floor.decode_s(streams, streams * found.context)
            row = {
                "what": "decode" if params is GREEDY else "decode, sampled",
                "streams": streams,
                "context": found.context,
                "shared": shared,
                "step_ms": 1e3 * found.step_s,
                "tokens_per_second": streams / found.step_s,
                "floor_ms": 1e3 * floor_s,
                "floor_share": floor_s / found.step_s,
                "host_ms": 1e3 * found.host_s,
            }
            if reading is not None:
                row |= {"reading": reading, "floor_share_of_reading_each": each_s / found.step_s}
            if found.num_computed > streams * bench.context // 4:
                row["joining_prompt_tokens_per_second"] = found.num_computed / found.joining_s
            return row

        return measure

    def _prompt(self, bench: EngineBench, floor: _Floor) -> Row:
        tokens = self._sizes.context
        seconds = bench.read(tokens)
        return {
            "what": "prompt",
            "streams": 1,
            "context": tokens,
            "step_ms": 1e3 * seconds,
            "tokens_per_second": tokens / seconds,
            "products_share": floor.prompt_s(tokens) / seconds,
            "start_s": bench.start_s,
        }
