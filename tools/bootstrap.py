# On Colab: clone the repository, install what Colab lacks, keep results on Drive. Elsewhere: from the folder of this
# notebook, where Jupyter starts it, go up to the repository's, where paths begin and the library is.
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

    drive = Path(os.environ.get("ENORM_DRIVE", "/content/drive/MyDrive"))
    results = Path("outputs/interactive")
    if drive.is_dir() and not results.exists():  # mounted: what is there when Colab disconnects is there afterwards
        (drive / "enorm-reproducibility").mkdir(exist_ok=True)
        results.parent.mkdir(exist_ok=True)
        results.symlink_to(drive / "enorm-reproducibility")
    print(f"{results} is {results.resolve()}", flush=True)
else:
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / "lib" / "equinorm").is_dir()), here)
    os.chdir(root)
    sys.path.insert(0, str(root / "lib"))
