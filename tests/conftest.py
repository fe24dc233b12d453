"""Fixtures shared by all tests; nothing here touches the network or a person's own runs."""

from __future__ import annotations

import functools
import os
import sys

# Before torch is imported: two threads a process on a busy two-core machine are many times slower
# than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs, downloads and caches of a file's tests go to a folder of their own."""
    home = tmp_path_factory.mktemp("skipscope-home")
    before = os.environ.get("SKIPSCOPE_HOME")
    os.environ["SKIPSCOPE_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["SKIPSCOPE_HOME"]
    else:
        os.environ["SKIPSCOPE_HOME"] = before


@pytest.fixture(scope="module")
def worker_threads() -> Iterator[None]:
    """Workers are threads of this process: for tests of what is asked and shown, not of them."""
    from in_process import ThreadWorker

    with pytest.MonkeyPatch.context() as patch:
        for module in ("service", "trainings"):
            patch.setattr(f"explorer.runs.serve.{module}.WorkerProcess", ThreadWorker)
        yield


@pytest.fixture(scope="module", autouse=True)
def _installed_packages_are_read_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each first run of an AppTest reads the files of all installed packages for components."""
    if not hasattr(request.module, "AppTest"):
        yield
        return
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", _found_once(manifest_scanner))
        yield


@pytest.fixture(scope="module", autouse=True)
def _main_module_stays() -> Iterator[None]:
    """An AppTest leaves its script as ``__main__``, which later tests' processes would run."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@functools.cache
def _found_once(scanner: Any) -> Any:
    return functools.cache(scanner.scan_component_manifests)


# Of these grids so many cases, spread evenly, run by default (of a long test perhaps none);
# ``-m grid`` runs the others. What they cost stands in CONTRIBUTING.md.
_GRIDS = {
    "test_adapters.py::test_deleting_is_what_it_says": 3,
    "test_adapters.py::test_well_known_sizes": 1,
    "test_browser.py::test_axe_finds_no_violation": 2,
    "test_browser_door.py::test_a_name_is_text_everywhere": 3,
    "test_browser_door.py::test_another_page_gets_nothing_and_starts_nothing": 2,
    "test_browser_door.py::test_no_address_answers_another_name_or_another_page": 4,
    "test_browser_door.py::test_our_pages_keep_to_their_policies": 1,
    "test_browser_runs.py::test_axe_finds_no_violation": 1,
    "test_cards.py::test_gradients_are_those_of_the_card": 1,
    "test_cards.py::test_lesions_are_those_of_the_card": 1,
    "test_cards.py::test_weights_have_the_accuracy_of_the_card": 5,
    "test_checkpoints.py::test_wrapped_weights_open": 12,
    "test_cli.py::test_bench_rows_carry_their_conditions": 1,
    "test_cli.py::test_shipped_nets_are_measured_as_their_cards_say": 1,
    "test_cli_train.py::test_a_resume_that_is_killed_while_it_writes_loses_no_line": 1,
    "test_export.py::test_every_net_of_the_registry_exports": 6,
    "test_export.py::test_the_exported_net_is_ours": 20,
    "test_export.py::test_the_files_are_laid_out_and_checked": 1,
    "test_fuzz.py::test_what_has_broken_a_reader_is_a_sentence_in_the_shell": 12,
    "test_gradients_responses_gates.py::test_every_view_as_text_json_table_and_page": 5,
    "test_imports.py::test_a_worker_is_warm_without_what_it_does_not_use": 1,
    "test_measuring_paths.py::test_every_length_is_the_sum_of_all_its_paths": 8,
    "test_measuring_programs.py::test_engine_equals_naive_evaluation": 10,
    "test_measuring_programs.py::test_recalibrated_equals_torchs_own": 5,
    "test_measuring_statistics.py::test_every_instrument_keeps_the_rule_and_says_so": 12,
    "test_nets.py::test_every_layer_of_the_blueprint_is_the_nets": 50,
    "test_nets.py::test_registry_contract": 10,
    "test_nets.py::test_residual_units_are_the_papers": 30,
    "test_nets_fast.py::test_fast_nets_answer_as_their_nets_do": 30,
    "test_pages_instruments.py::test_every_instrument_answers_on_a_net_that_it_fits": 6,
    "test_pages_instruments.py::test_every_instrument_says_for_which_nets_it_means_nothing": 5,
    "test_reference_programs.py::test_they_answer_as_the_programs_do": 3,
    "test_shared_start.py::test_layers_said_to_start_alike_do": 30,
    "test_training.py::test_a_resumed_curve_is_the_unbroken_one": 2,
    "test_training.py::test_the_benchmark_measures_both_ways": 0,
    "test_training_lanes.py::test_a_product_resumes_exactly": 1,
    "test_training_lanes.py::test_every_family_resumes_exactly": 1,
    "test_zoo.py::test_shipped_nets_do_what_their_cards_say": 2,
}


@pytest.hookimpl(tryfirst=True)  # before markers choose
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks most of each grid."""
    if not any("::" in argument for argument in config.args):  # a test that is named is meant
        cases: dict[str, list[pytest.Item]] = {name: [] for name in _GRIDS}
        for item in items:
            name = f"{item.path.name}::{item.name.partition('[')[0]}"
            if name in cases:
                cases[name].append(item)
        for name, found in cases.items():
            kept = {int((i + 0.5) * len(found) / _GRIDS[name]) for i in range(_GRIDS[name])}
            for place, item in enumerate(found):
                if place not in kept:
                    item.add_marker(pytest.mark.grid)
