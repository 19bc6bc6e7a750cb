"""What seimai.model exports, and what importing it costs."""

import subprocess
import sys

import seimai.model


def test_exported_names_exist() -> None:
    for name in seimai.model.__all__:
        assert getattr(seimai.model, name).__name__ == name
    assert seimai.model.__all__ == sorted(seimai.model._OWNERS)


def test_the_order_of_data_needs_no_torch() -> None:
    code = "import sys, seimai.model as m; m.rows, m.Order, m.TrainConfig; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_nothing_of_the_pipeline_is_imported() -> None:
    code = (
        "import sys, seimai.model.train, seimai.model.generate, seimai.model.trace;"
        "print([n for n in sys.modules if n.split('.')[0] in ('dask', 'distributed', 'numba', 'fastwarc')"
        " or n.startswith(('seimai.pipeline', 'seimai.tokenizer'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
