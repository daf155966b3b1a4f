"""Check that each deciding module is covered by its own test file, not by accident of others."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parent.parent
WHOLE_ROOMS = ["clients/replay/figures", "clients/replay/report", "clients/replay/traces"]
DECIDING = [
    *(
        str(path.relative_to(ROOT))
        for room in WHOLE_ROOMS
        for path in sorted((ROOT / room).glob("[!_]*.py"))
    ),
    "clients/load/event_text.py",
    "clients/load/wire_events.py",
    "clients/replay/arguments.py",
    "clients/replay/arrival_plan.py",
    "clients/replay/arrivals.py",
    "clients/replay/bootstrap.py",
    "clients/replay/charts.py",
    "clients/replay/comparison.py",
    "clients/replay/knee.py",
    "clients/replay/metrics.py",
    "clients/replay/pieces.py",
    "clients/replay/playback.py",
    "clients/replay/player.py",
    "clients/replay/prompts.py",
    "clients/replay/repeats.py",
    "clients/replay/scales.py",
    "clients/replay/script.py",
    "clients/replay/sweep.py",
    "clients/replay/table.py",
    "clients/replay/texts.py",
    "clients/replay/timelines.py",
    "clients/replay/token_estimate.py",
    "clients/replay/windows.py",
    "engine/chat_template.py",
    "engine/config.py",
    "engine/core.py",
    "engine/cost_model.py",
    "engine/detokenizer.py",
    "engine/gpu/attention/work_list.py",
    "engine/grammar/gate.py",
    "engine/graphemes.py",
    "engine/kv_cache/block_pool.py",
    "engine/kv_cache/budget.py",
    "engine/kv_cache/host_tier.py",
    "engine/kv_cache/manager.py",
    "engine/kv_cache/prefix_cache.py",
    "engine/messages.py",
    "engine/plain_text.py",
    "engine/playback.py",
    "engine/request.py",
    "engine/sampling_params.py",
    "engine/scheduler/admission.py",
    "engine/scheduler/batch.py",
    "engine/scheduler/decode_set.py",
    "engine/scheduler/ends.py",
    "engine/scheduler/fair_share.py",
    "engine/scheduler/pacer.py",
    "engine/scheduler/prefix_leaders.py",
    "engine/scheduler/pressure.py",
    "engine/scheduler/prompt_budget.py",
    "engine/scheduler/prompt_planner.py",
    "engine/scheduler/ranking.py",
    "engine/scheduler/reply_lengths.py",
    "engine/scheduler/retry.py",
    "engine/scheduler/scheduler.py",
    "engine/scheduler/slots.py",
    "engine/scheduler/waiting.py",
    "engine/single_shot/batch_queue.py",
    "engine/single_shot/halves.py",
    "engine/single_shot/pool_ledger.py",
    "engine/supervision/ledger.py",
    "engine/supervision/likeness.py",
    "engine/supervision/restart_policy.py",
    "engine/supervision/watchdog.py",
    "engine/text_stream.py",
    "server/auth/authenticator.py",
    "server/auth/client_secrets.py",
    "server/auth/key_file.py",
    "server/auth/keys.py",
    "server/auth/origins.py",
    "server/auth/presented.py",
    "server/cards/archive.py",
    "server/cards/assets.py",
    "server/cards/card.py",
    "server/cards/examples.py",
    "server/cards/fields.py",
    "server/cards/json_text.py",
    "server/cards/lorebook.py",
    "server/cards/macros.py",
    "server/cards/png.py",
    "server/cards/read.py",
    "server/cards/versions.py",
    "server/cards/world_info.py",
    "server/cards/write.py",
    "server/characters/card_export.py",
    "server/characters/card_file.py",
    "server/characters/card_folder.py",
    "server/characters/catalog.py",
    "server/characters/field_reader.py",
    "server/characters/files.py",
    "server/characters/ids.py",
    "server/characters/kept.py",
    "server/characters/kept_cards.py",
    "server/characters/persona.py",
    "server/characters/picture.py",
    "server/characters/toml_file.py",
    "server/characters/uploads.py",
    "server/conversation/changes.py",
    "server/conversation/conversation.py",
    "server/conversation/entries.py",
    "server/conversation/memory.py",
    "server/conversation/prompt.py",
    "server/conversation/retries.py",
    "server/conversation/said.py",
    "server/conversation/summary.py",
    "server/conversation/token_log.py",
    "server/conversation/truncation.py",
    "server/file_watch.py",
    "server/http/passages.py",
    "server/limits/account.py",
    "server/limits/account_limits.py",
    "server/limits/denial.py",
    "server/limits/gate.py",
    "server/limits/inflow.py",
    "server/limits/keyed_rate.py",
    "server/limits/load.py",
    "server/limits/quotas.py",
    "server/limits/shedding.py",
    "server/limits/token_bucket.py",
    "server/log_repeats.py",
    "server/lore/context_notes.py",
    "server/lore/decorators.py",
    "server/lore/groups.py",
    "server/lore/keys.py",
    "server/lore/known.py",
    "server/lore/lore.py",
    "server/lore/note.py",
    "server/lore/post_history.py",
    "server/lore/rules.py",
    "server/lore/scene.py",
    "server/notify.py",
    "server/protocol/codec.py",
    "server/protocol/event_ids.py",
    "server/recording/redaction.py",
    "server/recording/wire_log.py",
    "server/response_times.py",
    "server/resume/journal.py",
    "server/resume/resume_tokens.py",
    "server/session/repeated_reply.py",
    "server/session/response.py",
    "server/session/retelling.py",
    "server/session/welcome.py",
    "server/session/session.py",
    "server/sockets/accept_limits.py",
    "server/sockets/admission.py",
    "server/sockets/event_rules.py",
    "server/sockets/outbox.py",
    "server/sockets/reply_gate.py",
    "server/sockets/working_memory.py",
    "server/speech/asides.py",
    "server/speech/chinese.py",
    "server/speech/clauses.py",
    "server/speech/duration.py",
    "server/speech/english.py",
    "server/speech/english_numbers.py",
    "server/speech/english_rules.py",
    "server/speech/fences.py",
    "server/speech/japanese_numbers.py",
    "server/speech/kana.py",
    "server/speech/languages.py",
    "server/speech/load_once.py",
    "server/speech/mouth.py",
    "server/speech/pending.py",
    "server/speech/pinyin.py",
    "server/speech/quotes.py",
    "server/speech/readings.py",
    "server/speech/segmenter.py",
    "server/speech/segments.py",
    "server/speech/sentence_ends.py",
    "server/speech/sounds.py",
    "server/speech/visemes.py",
    "server/store/attempts.py",
    "server/store/kept_entry.py",
    "server/store/layout.py",
    "server/store/trouble.py",
    "server/store/write_queue.py",
    "server/store/writing.py",
    "server/text/tags.py",
    "server/version.py",
    "server/vllm_names.py",
]
LEAST_PERCENT = 92.0


def main() -> int:
    """Run the deciding rooms' tests once and print each module's own coverage.

    Returns:
        1 when a module is covered less than it should be.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--least", type=float, default=LEAST_PERCENT, help="percent of lines")
    least = parser.parse_args().least
    pairs = [(ROOT / module, _test_file(Path(module))) for module in DECIDING]
    missing = [str(test) for _, test in pairs if not test.is_file()]
    if missing:
        print("no test file:", ", ".join(missing))
        return 1
    with tempfile.TemporaryDirectory() as folder:
        data = _run([test for _, test in pairs], Path(folder))
        short = [line for pair in pairs if (line := _report(data, *pair, least=least))]
    print("\n".join(short))
    return 1 if short else 0


def _report(data: coverage.CoverageData, module: Path, test: Path, *, least: float) -> str:
    """Print a module's share and return a complaint, empty when there is none."""
    percent, lines = _own_coverage(data, module, test)
    print(f"{percent:6.1f} %  {module.relative_to(ROOT)}")
    if percent >= least:
        return ""
    return f"{module.relative_to(ROOT)}: lines {lines} are not covered by {test.name}"


def _test_file(module: Path) -> Path:
    """Return the module's own test file: in the mirrored folder, or flat with the room's name."""
    package, *rooms = module.parts[:-1]
    folder = ROOT / "tests" / package
    places = [
        folder.joinpath(*rooms, f"test_{module.stem}.py"),
        folder / f"test_{module.stem}.py",
        folder / f"test_{'_'.join([*rooms, module.stem])}.py",
    ]
    return next((place for place in places if place.is_file()), places[0])


def _run(tests: list[Path], folder: Path) -> coverage.CoverageData:
    settings, data_file = folder / "coverage.toml", folder / "data"
    settings.write_text(
        "[tool.coverage.run]\n"
        'dynamic_context = "test_function"\n'
        'source = ["clients", "engine", "server"]\n'
        f'data_file = "{data_file}"\n'
    )
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest"]
    files = sorted({str(file) for test in tests for file in test.parent.glob(f"{test.stem}*.py")})
    subprocess.run([*command, "-q", "-m", "not slow", *files], cwd=ROOT, check=True)
    data = coverage.CoverageData(str(data_file))
    data.read()
    return data


def _own_coverage(data: coverage.CoverageData, module: Path, test: Path) -> tuple[float, list[int]]:
    """Return the percentage of statements run by one test file or at import, and those not run."""
    own = ".".join(test.relative_to(ROOT).with_suffix("").parts)  # and test_session_responses too
    by_line = data.contexts_by_lineno(str(module))
    covered = {
        line
        for line, contexts in by_line.items()
        if any(context == "" or context.startswith((own + ".", own + "_")) for context in contexts)
    }
    analysis = coverage.Coverage(data_file=None, config_file=str(ROOT / "pyproject.toml"))
    _, statements, excluded, _, _ = analysis.analysis2(str(module))
    wanted = set(statements) - set(excluded)
    uncovered = sorted(wanted - covered)
    return 100.0 * (1 - len(uncovered) / max(1, len(wanted))), uncovered


if __name__ == "__main__":
    sys.exit(main())
