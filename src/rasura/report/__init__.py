"""Records to one self-contained HTML page: the verdict first, then figures, tables, and how to run it again.

``render`` gives the page as text, ``records_in`` reads a run folder, ``write_report`` does both and writes the file;
``check_wording`` refuses words that a kind of method gives no right to. Reads records only; never a model, never data.
"""

from __future__ import annotations

from rasura.report._wording import check_wording
from rasura.report.page import records_in, render, write_report

__all__ = ["check_wording", "records_in", "render", "write_report"]
