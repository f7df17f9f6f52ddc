# On Colab: clone the repository and install what Colab lacks. Elsewhere this does nothing.
import os
import subprocess
import sys
import tomllib
from pathlib import Path

if "COLAB_RELEASE_TAG" in os.environ:
    if not Path("lib/equinorm").is_dir():
        address = os.environ.get("ENORM_REPOSITORY", "{REPOSITORY}")
        if not Path("enorm-reproducibility").is_dir():
            subprocess.run(["git", "clone", "--quiet", "--depth", "1", address, "enorm-reproducibility"], check=True)
        os.chdir("enorm-reproducibility")
    needed = tomllib.loads(Path("pyproject.toml").read_text())["project"]["dependencies"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *needed], check=True)
    sys.path.insert(0, str(Path("lib").resolve()))
