"""Doctor's look at who could change the networks."""

import os

import pytest

from edge.cli import check_trust
from edge.cli.check_trust import strangers
from edge.settings import Settings
from tests.edge import helpers


@pytest.fixture
def bundle(tmp_path):
    """A bundle in a folder that nobody but this user can write to, as far as the machine's own folders allow."""
    os.chmod(str(tmp_path), 0o700)
    if strangers(str(tmp_path)):
        pytest.skip("the folder for tests is not private here: %s" % strangers(str(tmp_path)))
    folder = helpers.copy_tiny_bundle(str(tmp_path))
    for name in [""] + os.listdir(folder):
        os.chmod(os.path.join(folder, name), 0o700)
    return folder


def look(bundle, engines):
    return check_trust.check_trust(Settings(bundle=bundle, engines=str(engines)))


def test_private_files_are_well(bundle, tmp_path):
    assert look(bundle, tmp_path / "none").level == "ok"


@pytest.mark.parametrize("name", ["", "manifest.json", "reconstructor.onnx"])
def test_what_everybody_can_write_is_a_warning(bundle, tmp_path, name):
    path = os.path.join(bundle, name) if name else bundle
    os.chmod(path, 0o777)
    check = look(bundle, tmp_path / "none")
    assert check.level == "warning" and "%s can be written by everybody" % os.path.realpath(path) in check.text
    assert check.fix == "sudo chown $USER {0} && chmod go-w {0}".format(os.path.realpath(path))


def test_a_folder_of_engines_that_everybody_can_write_is_a_warning(bundle, tmp_path):
    engines = tmp_path / "engines"
    engines.mkdir()
    (engines / "reconstructor.engine").write_text("")
    os.chmod(str(engines), 0o777)
    check = look(bundle, engines)
    assert check.level == "warning" and "engines can be written by everybody" in check.text
    os.chmod(str(engines), 0o1777)  # sticky, as /tmp is
    assert "engines can" not in look(bundle, engines).text


def test_a_folder_above_counts_and_a_link_hides_nothing(bundle, tmp_path):
    inner = tmp_path / "open" / "inner"
    inner.mkdir(parents=True)
    os.chmod(str(tmp_path / "open"), 0o777)
    os.symlink(str(inner), str(tmp_path / "link"))
    assert any("open can be written by everybody" in reason for reason in strangers(str(tmp_path / "link")))


def test_a_strange_owner_is_told(tmp_path, monkeypatch):
    real = os.stat

    def stat_of(path, *args, **kwargs):
        facts = list(real(path, *args, **kwargs))
        facts[4] = 4242
        return os.stat_result(facts)

    path = str(tmp_path)
    place = os.path.realpath(path)
    monkeypatch.setattr(os.path, "realpath", lambda name: name)
    monkeypatch.setattr(check_trust.os, "stat", stat_of)
    assert "%s belongs to user 4242" % place in strangers(place)
