"""The page in a real browser: it draws, and the browser has nothing to complain about."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def complaints(page: Path, folder: Path) -> list[str]:
    """Open the page once without a window; what the browser wrote to its console."""
    run = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}",
         "--window-size=1280,1600", f"--screenshot={folder / 'page.png'}", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return [line for line in run.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("kind", ["page", "drawn_page"])
def test_the_browser_has_no_complaint(request, kind, tmp_path):
    (tmp_path / "report.html").write_text(request.getfixturevalue(kind), encoding="utf-8")
    assert complaints(tmp_path / "report.html", tmp_path) == []
    assert (tmp_path / "page.png").stat().st_size > 50_000


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_the_policy_of_the_page_is_in_force(page, tmp_path):
    """The check above can fail: a script smuggled into the page is refused, and the browser says so."""
    (tmp_path / "report.html").write_text(
        page.replace("</main>", "<script>document.title = 'x'</script></main>"), encoding="utf-8"
    )
    assert any("script" in line for line in complaints(tmp_path / "report.html", tmp_path))
