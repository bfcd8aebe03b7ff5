"""What the applet does between its inputs on disk and the count file, for tests and benchmark."""

import os
from pathlib import Path

import applet
from filters import Filters

NO_FILTERS = Filters()


def count_to_text(
    bam: Path,
    index: Path | None,
    work_folder: Path,
    filters: Filters = NO_FILTERS,
    from_index: bool = False,
) -> str:
    """Do what `applet.main` does, less download and upload.

    Returns:
        The text of the count file; bytes that are not UTF-8 become surrogates.

    Raises:
        dxpy.AppError: as the applet does.
    """
    header = applet.verify_bam(bam)
    regions = applet.parse_sam_header_for_region(bam)
    applet.verify_regions(bam, header, regions)
    if from_index:
        counts = applet.read_index_counts(bam, header, index)
    else:
        counts = applet.count_regions(bam, header, index, filters, work_folder)
    applet.log_unplaced(counts, filters)
    summary = applet.summarize(bam.name, header, counts, filters, from_index)
    return os.fsdecode(applet.write_counts(work_folder / "counts.txt", summary).read_bytes())
