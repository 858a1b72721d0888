"""Test errors of a committee: the mean of the predictions of runs that accuracy.py has trained side by side.

    python scripts/campaigns/committee.py rmd17_nequip_l2 rmd17_nequip_l2_seed1

Names are those of the runs' records; their models at equal times are evaluated together. The record goes to
docs/results/<first name>_committee.json. To see the validation frames first: ``molzoo test MODEL MODEL …``.
"""

import argparse
import json
from pathlib import Path

from accuracy import RESULTS, machine, tabulate

from molzoo import load
from molzoo.cli import config as configs
from molzoo.cli.train import check
from molzoo.train import evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="records of runs of one configuration")
    names = parser.parse_args().names
    records = [json.loads((RESULTS / f"{name}.json").read_text()) for name in names]
    words = records[0]["command"].removeprefix("molzoo train ").split()
    data = check(configs.from_words(words))[0].data
    points = []
    for minutes in [point["minutes"] for point in records[0]["curve"]][:-1]:
        members = [load(Path("runs") / name / f"model_{minutes:g}min.pt") for name in names]
        data.prepare(members[0].names, members[0].model.cutoff, "none")
        points.append({"minutes": minutes} | evaluate(members, data.loader("test")).metrics)
    members = [load(Path("runs") / name / "model.pt") for name in names]
    test = evaluate(members, data.loader("test")).metrics
    seconds = max(record["train_seconds"] for record in records)
    points.append({"minutes": seconds / 60} | test)
    record = {
        "command": " & ".join(record["command"] for record in records),
        **machine(),
        "machine": " & ".join(record["machine"] for record in records),
        "model": records[0]["model"],
        "train_seconds": seconds,
        "parameters": sum(record["parameters"] for record in records),
        "test": test,
        "mean_predictor": records[0]["mean_predictor"],
        "curve": points,
    }
    (RESULTS / f"{names[0]}_committee.json").write_text(json.dumps(record, indent=1) + "\n")
    tabulate()


if __name__ == "__main__":
    main()
