"""Replay samples of four public formats against the demo server, and take pictures of the reports.

``python -m tools.replay_pictures`` serves the demo model for it; ``--url`` takes another server.
Each replay is the command that README and docs/replay.md show, run as it stands there.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from pathlib import Path

from playwright.async_api import async_playwright

from tools.take_screenshots import ARGS, IMAGES, ROOT, serving

SAMPLES = {
    "mooncake": "mooncake_conversation.jsonl",
    "burstgpt": "burstgpt_sessions.csv",
    "azure": "azure_llm_2023_conv.csv",
    "sharegpt": "sharegpt.json --arrivals poisson:0.5",
}
TOKENIZER = "configs/models/kaiwa-demo"


async def replay(url: str, name: str, folder: Path) -> None:
    """Play one sample and write its report."""
    words = shlex.split(f"configs/traces/{SAMPLES[name]} --tokenizer {TOKENIZER}")
    command = [sys.executable, "-m", "server", "replay", *words]
    process = await asyncio.create_subprocess_exec(
        *command,
        "--url",
        url.replace("http", "ws", 1),
        "--report",
        str(folder / name),
        "--png",
        cwd=ROOT,
    )
    code = await process.wait()
    if code not in (0, 3):  # 3: the client shares the machine with the server, and says so
        raise SystemExit(f"the replay of {name} ended with exit code {code}")


async def take(options: argparse.Namespace) -> None:
    """Play all samples and look at the pages."""
    async with serving(options.url) as url, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=options.chromium, args=ARGS)
        for name in SAMPLES:
            await replay(url, name, options.reports)
            page = await browser.new_page(viewport={"width": 1280, "height": 1400})
            await page.goto((options.reports / name / "report.html").resolve().as_uri())
            await page.screenshot(path=options.out / f"replay-{name}.png")
            await page.close()
        await browser.close()


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tools.replay_pictures", description=__doc__)
    parser.add_argument("--url", help="a running server; left out, one is started")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser to use")
    parser.add_argument(
        "--out", type=Path, default=IMAGES, help="folder for pictures (%(default)s)"
    )
    parser.add_argument(
        "--reports", type=Path, default=ROOT / "build" / "replay", help="folder (%(default)s)"
    )
    asyncio.run(take(parser.parse_args()))


if __name__ == "__main__":
    main()
