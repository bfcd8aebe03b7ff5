"""Count the reads of each region of a BAM file, on all cores of one machine.

This is the tutorial "Parallel by Region (py)" for Python 3, with its steps, names and faults.
"""

import re
import shutil
import subprocess
from multiprocessing import Pool, cpu_count
from pathlib import Path

import dxpy


@dxpy.entry_point("main")
def main(mappings_sorted_bam, mappings_sorted_bai):
    """Download both files, count the regions in parallel, and upload the count file."""
    inputs = dxpy.download_all_inputs()
    # samtools looks for the index beside the BAM file.
    bam = shutil.move(inputs["mappings_sorted_bam_path"][0], ".")
    shutil.move(inputs["mappings_sorted_bai_path"][0], ".")

    regions = parse_sam_header_for_region(bam)
    view_cmds = [create_region_view_cmd(bam, region) for region in regions]
    pool = Pool(cpu_count())
    results = pool.map(run_cmd, view_cmds)
    pool.close()
    pool.join()
    verify_pool_status(results)

    counts = [int(result.stdout) for result in results]
    lines = [f"Region {region}: {count}\n" for region, count in zip(regions, counts, strict=True)]
    count_file = Path(bam).name.removesuffix(".bam") + "_count.txt"
    Path(count_file).write_text("".join(lines) + f"Total reads: {sum(counts)}")
    return {"count_file": dxpy.dxlink(dxpy.upload_local_file(count_file))}


def parse_sam_header_for_region(bam):
    """Return the names of the regions in the header of the BAM file."""
    header = subprocess.check_output(["samtools", "view", "-H", bam], text=True)
    return re.findall(r"SN:(\S+)", header)


def create_region_view_cmd(bam, region):
    """Return the command that counts one region."""
    return ["samtools", "view", "-c", bam, region]


def run_cmd(cmd):
    """Run a command; return its output, its errors and its exit status."""
    return subprocess.run(cmd, capture_output=True, text=True)


def verify_pool_status(results):
    """Fail the job if a command failed."""
    errors = [result.stderr for result in results if result.returncode != 0]
    if errors:
        raise dxpy.AppInternalError("\n".join(errors))


if __name__ == "__main__":
    dxpy.run()
