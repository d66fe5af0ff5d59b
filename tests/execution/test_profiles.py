from __future__ import annotations

import pytest

from petfmri.errors import ConfigError
from petfmri.execution.profiles import load_profile, total_memory_gb


def load(name, **given):
    return load_profile(str(name), **({"n_procs": 3, "memory_gb": 5.0} | given))


def test_the_laptop_is_told_its_limits():
    profile = load("laptop")
    assert profile.plugin == "MultiProc"
    assert profile.plugin_args["n_procs"] == 3
    assert profile.plugin_args["memory_gb"] == 5.0


def test_one_step_after_another_has_no_limits():
    profile = load("linear")
    assert (profile.plugin, profile.plugin_args) == ("Linear", {})


def test_a_profile_of_ones_own_wins_over_the_defaults(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("plugin: MultiProc\nplugin_args: {n_procs: 8, maxtasksperchild: 1}\n")
    arguments = load(path).plugin_args
    assert (arguments["n_procs"], arguments["maxtasksperchild"]) == (8, 1)
    assert arguments["memory_gb"] == 5.0


def test_another_plugin_gets_only_its_own_arguments(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("plugin: SLURMGraph\nplugin_args: {sbatch_args: --mem=8G}\n")
    assert load(path).plugin_args == {"sbatch_args": "--mem=8G"}


def test_an_unknown_profile_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"--profile cluster.*laptop, linear"):
        load("cluster")


@pytest.mark.parametrize(
    "text",
    ["", "- MultiProc\n", "plugin_args: {}\n", "plugin: Linear\nplugn: x\n", "plugin: [\n"],
)
def test_a_broken_profile_is_a_problem_of_the_configuration(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        load(path)


@pytest.mark.parametrize("text", ["plugin: 3\n", "plugin: Linear\nplugin_args: [1]\n"])
def test_values_of_the_wrong_kind_are_refused(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        load(path)


def test_memory_is_counted_in_gigabytes():
    assert 0.5 < total_memory_gb() < 1e5
