"""Runs main with download and upload replaced: for the tests, and by itself as a process.

Usage: python run_main.py BAM [INDEX] prints the count file, or the sentence of an AppError.
"""

import os
import sys
from pathlib import Path
from unittest import mock

import dxpy

import applet
from bam_file import WholeFile
from samtools import verify_bam


def run_main(bam: Path | dict, index: Path | dict | None = None, **inputs: int | str) -> str:
    """Count a BAM file as main does; return what is in the count file.

    Args:
        bam: a file on this disk, or a link to one on a platform.
        index: the same of its index, if there is one.
        inputs: the other inputs of main.
    """
    texts: list[str] = []

    def keep_count_file(paths: dict[str, Path], _: object) -> dict:
        texts.append(os.fsdecode(paths["count_file"].read_bytes()))
        return {}

    patches = {"upload_outputs": keep_count_file}
    if isinstance(bam, Path):
        patches["download_inputs"] = lambda *_: (verify_bam(WholeFile(bam)), index)
    with mock.patch.multiple(applet, **patches):
        applet.main(bam, index, **inputs)
    return texts[0]


if __name__ == "__main__":
    try:
        print(run_main(*map(Path, sys.argv[1:])))
    except dxpy.AppError as error:
        print(f"AppError: {error}")
