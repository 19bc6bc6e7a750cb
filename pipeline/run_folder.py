"""A run directory as a run finds it: fit to be worked in, and its config kept there and compared."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from seimai.config import dump_toml, load_config
from seimai.errors import ConfigError, RunError
from seimai.files import write_atomic

from . import manifest
from .settings import RunConfig, reading_differences

__all__ = ["load_run_config", "prepare", "refuse_foreign", "settle_config"]

_OURS = frozenset({"config.toml", "state", "lock.json", "manifest.json"})


def load_run_config(out: Path) -> RunConfig:
    """The config a run directory was made with."""
    return load_config(out / "config.toml", RunConfig)


def prepare(out: Path) -> None:
    """Make the folder of a run.  Raises RunError where nothing can be written, or something else lies."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except FileExistsError:
        raise RunError(f"{out}: is a file; give a folder to --out") from None
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({error.strerror}); give another --out") from None
    refuse_foreign(str(out), (path.name for path in out.iterdir()))


def refuse_foreign(place: str, names: Iterable[str]) -> None:
    """Raise RunError where the names right in a folder are those of no run."""
    found = {name for name in names if not name.startswith(".")}
    if found and not found & _OURS:
        raise RunError(f"{place}: holds files that are no run's; give an empty or new folder to --out")


def settle_config(out: Path, config: RunConfig, rebuild: bool) -> None:
    """Keep the resolved config in the run directory; refuse one that reads pages otherwise than the directory did."""
    path, text = out / "config.toml", dump_toml(config).encode()
    stands = path.read_bytes() if path.exists() else b""
    if not text.startswith(stands):  # the beginning of it is what a store without rename tore
        try:
            differences = reading_differences(load_config(path, RunConfig), config)
        except ConfigError as error:
            differences = [] if rebuild else [str(error)]
        if rebuild and differences:
            _empty(out)
        elif differences:
            raise RunError(
                f"{out}: was read with another {', '.join(differences)}; use another --out, or --rebuild to read again"
            )
    if stands != text:
        manifest.withdraw(out)
        write_atomic(path, text)


def _empty(out: Path) -> None:
    manifest.withdraw(out)
    for path in out.iterdir():
        if path.name != "lock.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
