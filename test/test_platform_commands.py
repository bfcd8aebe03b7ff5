"""The everyday commands of dx: folders, moving, labels, projects."""

import json

import dxpy
import pytest

from local_platform.testing.project import Dx


@pytest.fixture
def words(dx: Dx) -> str:
    """Upload a file called words.txt and return its ID."""
    (dx.folder / "words.txt").write_text("words\n")
    return dx("upload", "words.txt", "--wait", "--brief").stdout.strip()


def described(dx: Dx, path: str) -> dict:
    """Return what dx says of an object."""
    return json.loads(dx("describe", path, "--json", "--details").stdout)


def test_folders_are_made_and_removed(dx: Dx) -> None:
    dx("mkdir", "-p", "/a/b")
    assert dx("ls").stdout == "a/\n"
    assert "exists" in dx("mkdir", "/a", status=3).stdout
    dx("mkdir", "/x/y", status=3)
    dx("rmdir", "/a", status=3)
    dx("rmdir", "/a/b")
    dx("rm", "-r", "/a")
    assert dx("ls").stdout == ""


def test_listing_an_unknown_folder_is_an_error(dx: Dx) -> None:
    assert "nowhere" in dx("ls", "/nowhere", status=3).stderr


def test_file_is_moved_and_renamed(dx: Dx, words: str) -> None:
    dx("mkdir", "/a")
    dx("mv", "words.txt", "/a")
    assert described(dx, "/a/words.txt")["id"] == words
    dx("mv", "/a/words.txt", "/a/other.txt")
    assert described(dx, "/a/other.txt")["id"] == words


def test_folder_is_moved_with_what_it_holds(dx: Dx, words: str) -> None:
    dx("mkdir", "-p", "/a/b")
    dx("mkdir", "/c")
    dx("mv", "words.txt", "/a/b")
    dx("mv", "/a", "/c")
    assert described(dx, "/c/a/b/words.txt")["id"] == words
    dx("mv", "/c/a", "/c/renamed")
    assert described(dx, "/c/renamed/b/words.txt")["id"] == words
    assert dx("ls", "/c").stdout == "renamed/\n"


def test_file_is_removed(dx: Dx, words: str) -> None:
    dx("rm", "words.txt")
    assert dx("ls").stdout == ""
    assert "could not be found" in dx("cat", words, status=3).stderr


def test_folder_is_removed_with_what_it_holds(dx: Dx, words: str) -> None:
    dx("mkdir", "-p", "/a/b")
    dx("mv", "words.txt", "/a/b")
    dx("rm", "-r", "/a")
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        dxpy.describe(words)


def test_refused_removal_removes_nothing(dx: Dx, words: str, dx_project: str) -> None:
    absent = "file-" + "B" * 24
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        dxpy.api.project_remove_objects(dx_project, {"objects": [words, absent]})
    assert dx("cat", "words.txt").stdout == "words\n"


def test_copy_into_another_project_keeps_the_id(dx: Dx, words: str, dx_project: str) -> None:
    other = dx("new", "project", "other", "--brief").stdout.strip()
    dx("cp", "words.txt", f"{other}:/")
    dx("rm", "words.txt")
    assert described(dx, f"{other}:/words.txt")["id"] == words
    assert dx("cat", f"{other}:/words.txt").stdout == "words\n"
    assert dx_project != other


def test_labels(dx: Dx, words: str) -> None:
    dx("tag", "words.txt", "a", "b")
    dx("untag", "words.txt", "a")
    dx("set_properties", "words.txt", "k=1", "l=2")
    dx("unset_properties", "words.txt", "l")
    dx("add_types", "words.txt", "Text")
    description = described(dx, words)
    assert description["tags"] == ["b"]
    assert description["properties"] == {"k": "1"}
    assert description["types"] == ["Text"]
    dx("remove_types", "words.txt", "Text")
    dx("set_visibility", "words.txt", "hidden")
    assert dx("ls").stdout == ""
    dx("set_visibility", words, "visible")
    assert dx("ls").stdout == "words.txt\n"


def test_records(dx: Dx) -> None:
    record = dx("new", "record", "note", "--details", '{"a": 1}', "--brief").stdout.strip()
    assert json.loads(dx("get_details", record).stdout) == {"a": 1}
    (dx.folder / "details.json").write_text('{"a": 2}')
    dx("set_details", record, "-f", "details.json")
    dx("close", record)
    assert described(dx, record)["state"] == "closed"
    assert described(dx, record)["details"] == {"a": 2}


def test_who_and_where(dx: Dx, dx_project: str) -> None:
    assert dx("whoami").stdout == "local\n"
    assert dx("pwd").stdout.endswith(":/\n")
    assert dx_project in dx("find", "projects").stdout
    assert dx_project in dx("describe", dx_project).stdout
    assert dx("tree").stdout == ".\n"


def test_select_and_cd_are_kept_in_the_private_configuration(dx: Dx, dx_project: str) -> None:
    dx("mkdir", f"{dx_project}:/a")
    dx("select", dx_project)
    dx("cd", "/a")
    assert dx("pwd").stdout.endswith(":/a\n")


def test_project_is_renamed_and_removed(dx: Dx, dx_project: str, words: str) -> None:
    dx("update", "project", dx_project, "--name", "renamed")
    assert "renamed" in dx("find", "projects", "--name", "renamed").stdout
    dx("rmproject", "-y", dx_project)
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        dxpy.describe(words)


def test_folder_is_downloaded_with_what_it_holds(dx: Dx, words: str) -> None:
    assert words
    dx("mkdir", "-p", "/a/b")
    dx("mv", "words.txt", "/a/b")
    dx("download", "-r", "/a")
    assert (dx.folder / "a" / "b" / "words.txt").read_text() == "words\n"


def test_find_apps_finds_none(dx: Dx) -> None:
    assert dx("find", "apps").stdout == ""


def test_unknown_name_is_an_error(dx: Dx) -> None:
    dx("describe", "no such thing", status=3)
    dx("run", "no_such_applet", "-y", status=3)


def test_batch_describe_answers_for_each(dx_project: str) -> None:
    record = dxpy.new_dxrecord(name="there", project=dx_project).get_id()
    absent = "record-" + "B" * 24
    asked = [{"id": record, "describe": {"fields": {"name": True}}}, absent]
    there, missing = dxpy.api.system_describe_data_objects({"objects": asked})["results"]
    assert there == {"describe": {"id": record, "name": "there"}}
    assert missing["error"]["type"] == "ResourceNotFound"
