"""Set up the environments of the competitors, each of its own, outside the repository.

    python benchmarks/environments.py [--environments FOLDER]      # default: ~/.cache/tlkeras/benchmarks

fastai needs torchvision, whose wheels belong to the torch with CUDA (6 GB; the GPU is not used); Trainer's torch is as small as
the package index offers it for this machine.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ENVIRONMENTS = {
    "fastai": ("torch==2.14.1", "torchvision==0.29.1", "fastai==2.8.12"),
    "transformers": ("torch==2.13.0", "transformers==5.23.0", "accelerate==1.15.0"),
}
DEFAULT = Path("~/.cache/tlkeras/benchmarks").expanduser()


def python_of(name: str, folder: Path) -> str:
    """Return the interpreter of an environment; tlkeras's own is the one that runs this."""
    return str(folder / name / "bin" / "python") if name in ENVIRONMENTS else sys.executable


def set_up(folder: Path) -> None:
    """Make what is not there yet."""
    for name, packages in ENVIRONMENTS.items():
        done = folder / name / "complete"
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", folder / name], check=True)
            subprocess.run([python_of(name, folder), "-m", "pip", "install", "--no-cache-dir", *packages], check=True)
            done.touch()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, default=DEFAULT)
    set_up(parser.parse_args().environments)


if __name__ == "__main__":
    main()
