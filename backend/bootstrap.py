"""Makes .venv and installs the pinned, hashed requirements into it: `python3 backend/bootstrap.py [dev]`.

Owns: the environment, and nothing when it is up to date (milliseconds). Does not own: which packages (the
requirements files), nor where they come from (the installer's own settings). Standard library only, in words
that an older Python understands, so that it can say which one is needed.
"""

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
OLDEST = 3, 11
NO_INSTALLER = """\
This Python has neither venv's pip (ensurepip), nor pip, and there is no uv. One of these helps:
  Debian, Ubuntu   apt install python3-venv
  Fedora           dnf install python3-pip
  anywhere         another Python: make PYTHON=/path/to/python3.12 install
缺少 pip：请安装 python3-venv、pip 或 uv 之一后重试。"""
NO_WHEELS = """\
The installation failed; the installer's last words stand above. What often helps:
  no network or a slow mirror   set PIP_INDEX_URL to one near you, or PIP_DEFAULT_TIMEOUT=120, and repeat
  "No matching distribution"    wheels exist for Linux (glibc 2.28 or newer; x86_64, aarch64) and macOS 11+
安装失败，原因见上。可设置 PIP_INDEX_URL 使用就近镜像后重试；已下载的部分不会重来。"""


def main(kind: str) -> None:
    if sys.version_info < OLDEST:
        sys.exit(
            f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. "
            "Install one, or name it: make PYTHON=/path/to/python3.12 run\n"
            "需要 Python 3.11 或更新版本。"
        )
    requirements = ROOT / ("requirements-dev.txt" if kind == "dev" else "requirements.txt")
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = VENV / (".installed-" + requirements.stem)
    (ROOT / ".run").mkdir(exist_ok=True)
    with (ROOT / ".run" / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # `make run` and `make test` may be the first at the same time
        if VENV_PYTHON.exists() and stamp.exists() and stamp.read_text() == digest:
            return
        install(requirements, ready_installer())
        stamp.write_text(digest)


def ready_installer() -> "list[str]":
    """Makes .venv where it is missing; the command that installs into it."""
    own_pip = [str(VENV_PYTHON), "-m", "pip"]
    if works(own_pip):
        return [*own_pip, "install"]
    print(f"Making .venv with Python {sys.version.split()[0]} 正在创建虚拟环境", flush=True)
    make = [sys.executable, "-m", "venv", str(VENV)]
    if not works([str(VENV_PYTHON), "-c", "pass"]):
        make.append("--clear")  # what is there was made by a Python that is gone
    if importlib.util.find_spec("ensurepip") and works(make):
        return [*own_pip, "install"]
    subprocess.run([*make, "--without-pip"], check=True)
    if works([sys.executable, "-m", "pip"]):  # Debian's python3 without python3-venv
        return [sys.executable, "-m", "pip", "--python", str(VENV_PYTHON), "install"]
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", str(VENV_PYTHON)]
    sys.exit(NO_INSTALLER)


def works(command: "list[str]") -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def install(requirements: Path, installer: "list[str]") -> None:
    """Installs exactly what the file pins, wheels only; shows how far it is."""
    wanted = sum(line[:1].isalnum() and "==" in line for line in requirements.read_text().splitlines())
    print(f"Installing {wanted} packages, up to 100 MB, once: 1-2 minutes 首次安装约需一两分钟", flush=True)
    began = time.monotonic()
    flags = ["--require-hashes", "--only-binary", ":all:", "-r", str(requirements)]
    seen, said = 0, []
    with subprocess.Popen(
        [*installer, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            seen += line.startswith(("Collecting ", "Requirement already"))
            if sys.stdout.isatty():
                print(f"\r  {min(seen, wanted)} of {wanted} ", end="", flush=True)
    if process.returncode:
        sys.exit("".join(said[-20:]) + NO_WHEELS)
    print(f"\rInstalled in {time.monotonic() - began:.0f} s 安装完成", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
