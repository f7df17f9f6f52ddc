# On Colab: clone the repository, install what Colab lacks, keep results on Drive. Elsewhere: go to the repository's
# folder, where paths begin and the library is. It is above the one that Jupyter or papermill was started in, or above
# this notebook, which papermill's command line names.
import os
import subprocess
import sys
from pathlib import Path

if "COLAB_RELEASE_TAG" in os.environ:
    if not Path("lib/equinorm").is_dir():
        address = os.environ.get("ENORM_REPOSITORY", "{REPOSITORY}")
        if not Path("enorm-reproducibility").is_dir():
            clone = ["git", "clone", "--quiet", "--depth", "1", address, "enorm-reproducibility"]
            cloned = subprocess.run(
                clone,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
            )
            if cloned.returncode:
                said = " ".join(cloned.stderr.split())
                raise RuntimeError(
                    f"{address} cannot be cloned ({said}). Set ENORM_REPOSITORY to the repository's address."
                )
        os.chdir("enorm-reproducibility")
    # What Colab has is never upgraded: another PyTorch would be gigabytes, with another CUDA.
    added = subprocess.run(
        [sys.executable, "workflow/installed.py", "--add"], stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    )
    if added.returncode:
        raise RuntimeError(added.stderr.strip())
    sys.path.insert(0, str(Path("lib").resolve()))

    said = subprocess.run([sys.executable, "workflow/drive.py"], stdout=subprocess.PIPE, encoding="utf-8", check=True)
    print(said.stdout.strip(), flush=True)
else:
    import psutil  # comes with the kernel

    started = psutil.Process(os.getppid()).cmdline() if psutil.pid_exists(os.getppid()) else []
    places = [Path.cwd(), *(Path(word).resolve() for word in started if word.endswith(".ipynb"))]
    above = [folder for place in places for folder in (place, *place.parents)]
    root = next((folder for folder in above if (folder / "lib" / "equinorm").is_dir()), None)
    if root is None:
        raise RuntimeError("The repository's folder was not found: start Jupyter, or papermill, in it.")
    os.chdir(root)
    sys.path.insert(0, str(root / "lib"))
