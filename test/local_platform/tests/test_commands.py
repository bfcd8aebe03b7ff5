"""The everyday commands of dx: folders, moving, labels, projects."""

import contextlib
import json
import sqlite3
from collections.abc import Callable

import dxpy
import pytest

from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import Dx
from platform_fixtures import in_state, job_log, until, write_applet


@pytest.fixture
def words(dx_project: str) -> str:
    """Upload a file called words.txt and return its ID."""
    file = dxpy.upload_string("words\n", name="words.txt", project=dx_project, wait_on_close=True)
    return file.get_id()


def paths(project: str | None = None) -> dict[str, str]:
    """Return the IDs of the objects of a project, by path."""
    found = dxpy.find_data_objects(project=project or dxpy.WORKSPACE_ID, describe=True)
    return {
        f"{one['describe']['folder'].rstrip('/')}/{one['describe']['name']}": one["id"]
        for one in found
    }


def move_below(file: str, folder: str) -> None:
    """Make a folder of the test's project, and move a file there."""
    project = dxpy.DXProject(dxpy.WORKSPACE_ID)
    project.new_folder(folder, parents=True)
    project.move(folder, [file])


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
    dxpy.DXProject(dxpy.WORKSPACE_ID).new_folder("/a")
    dx("mv", "words.txt", "/a")
    assert paths() == {"/a/words.txt": words}
    dx("mv", "/a/words.txt", "/a/other.txt")
    assert paths() == {"/a/other.txt": words}


def test_folder_is_moved_with_what_it_holds(dx: Dx, words: str) -> None:
    move_below(words, "/a/b")
    dxpy.DXProject(dxpy.WORKSPACE_ID).new_folder("/c")
    dx("mv", "/a", "/c")
    assert paths() == {"/c/a/b/words.txt": words}
    dx("mv", "/c/a", "/c/renamed")
    assert paths() == {"/c/renamed/b/words.txt": words}
    assert dx("ls", "/c").stdout == "renamed/\n"


def test_file_is_removed(dx: Dx, words: str) -> None:
    dx("rm", "words.txt")
    assert paths() == {}
    assert "could not be found" in dx("cat", words, status=3).stderr


def test_folder_is_removed_with_what_it_holds(dx: Dx, words: str) -> None:
    move_below(words, "/a/b")
    dx("rm", "-r", "/a")
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        dxpy.describe(words)


def test_removal_that_fails_removes_nothing(words: str, dx_project: str) -> None:
    absent = "file-" + "B" * 24
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        dxpy.api.project_remove_objects(dx_project, {"objects": [words, absent]})
    assert dxpy.DXFile(words).read() == "words\n"


def test_copy_into_another_project_keeps_the_id(dx: Dx, words: str, dx_project: str) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    dx("cp", "words.txt", f"{other}:/")
    dxpy.DXProject(dx_project).remove_objects([words])
    assert paths(other) == {"/words.txt": words}
    assert dx("cat", f"{other}:/words.txt").stdout == "words\n"


def test_each_copy_has_a_name_and_labels_of_its_own(dx: Dx, words: str, dx_project: str) -> None:
    dxpy.DXFile(words).add_tags(["kept"])
    other = dxpy.api.project_new({"name": "other"})["id"]
    dx("cp", "words.txt", f"{other}:/copy.txt")
    dx("tag", f"{other}:/copy.txt", "copied")
    dx("set_properties", f"{other}:/copy.txt", "k=1")
    first = dxpy.DXFile(words, project=dx_project).describe(incl_properties=True)
    assert (first["name"], first["tags"], first["properties"]) == ("words.txt", ["kept"], {})
    copy = dxpy.DXFile(words, project=other).describe(incl_properties=True)
    assert (copy["name"], copy["tags"]) == ("copy.txt", ["kept", "copied"])
    assert copy["properties"] == {"k": "1"}
    assert dx("cat", f"{other}:/copy.txt").stdout == "words\n"
    assert dx("ls", f"{other}:/words.txt", status=3).stdout == ""
    assert dx("find", "data", "--name", "copy*", "--all-projects", "--brief").stdout.split() == [
        f"{other}:{words}"
    ]
    assert (
        dx("find", "data", "--tag", "copied", "--path", f"{dx_project}:/", "--brief").stdout == ""
    )
    dxpy.DXProject(dx_project).remove_objects([words])
    assert dxpy.describe(words)["name"] == "copy.txt"


def test_labels(dx: Dx, words: str) -> None:
    dx("tag", "words.txt", "a", "b")
    dx("untag", "words.txt", "a")
    dx("set_properties", "words.txt", "k=1", "l=2")
    dx("unset_properties", "words.txt", "l")
    description = dxpy.DXFile(words).describe(incl_properties=True)
    assert description["tags"] == ["b"]
    assert description["properties"] == {"k": "1"}


def test_types_and_visibility_change_until_an_object_is_closed(dx: Dx) -> None:
    record = dx("new", "record", "note", "--brief").stdout.strip()
    dx("add_types", "note", "Text", "Note")
    dx("remove_types", "note", "Text")
    assert dxpy.describe(record)["types"] == ["Note"]
    dx("set_visibility", "note", "hidden")
    assert dx("ls").stdout == ""
    assert dx("ls", "-a").stdout.split() == ["./", "../", "note"]
    dx("set_visibility", record, "visible")
    assert paths() == {"/note": record}
    assert "valid strings for a type name" in dx("add_types", "note", "ΨΨ", status=3).stderr
    dx("close", "note")
    closed = dxpy.DXRecord(record)
    for change in (
        lambda: closed.add_types(["Text"]),
        lambda: closed.remove_types(["Note"]),
        closed.hide,
        lambda: closed.set_details({}),
    ):
        with pytest.raises(dxpy.exceptions.InvalidState, match="is not in the open state"):
            change()
    assert "is not in the open state" in dx("close", "note").stdout
    dx("mv", "note", "renamed")
    assert paths() == {"/renamed": record}
    assert dxpy.describe(record)["types"] == ["Note"]


def test_records(dx: Dx) -> None:
    record = dx("new", "record", "note", "--details", '{"a": 1}', "--brief").stdout.strip()
    assert json.loads(dx("get_details", record).stdout) == {"a": 1}
    (dx.folder / "details.json").write_text('{"a": 2}')
    dx("set_details", record, "-f", "details.json")
    dx("close", record)
    assert json.loads(dx("describe", record, "--json").stdout)["state"] == "closed"
    assert dxpy.DXRecord(record).get_details() == {"a": 2}


def test_details_may_be_an_array(words: str) -> None:
    record = dxpy.new_dxrecord(details=["a"])
    assert record.get_details() == ["a"]
    details = [{"$dnanexus_link": words}, {"nonce": 1}]
    record.set_details(details)
    assert record.get_details() == details
    assert record.describe()["links"] == [words]


def test_record_takes_over_what_it_is_not_given(dx_project: str) -> None:
    first = dxpy.new_dxrecord(
        name="first", details={"a": 1}, types=["T"], tags=["t"], properties={"k": "1"}
    )
    second = dxpy.new_dxrecord(init_from=first, types=["Other"])
    description = second.describe(incl_details=True, incl_properties=True)
    assert description["id"] != first.get_id()
    assert description["project"] == dx_project
    taken = ("name", "details", "tags", "properties", "types")
    assert [description[field] for field in taken] == [
        "first",
        {"a": 1},
        ["t"],
        {"k": "1"},
        ["Other"],
    ]


def test_who_and_where(dx: Dx, dx_project: str) -> None:
    assert dx("whoami").stdout == "local\n"
    assert dx("pwd").stdout.endswith(":/\n")
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


def test_nothing_is_left_of_a_removed_project(
    dx: Dx, dx_project: str, make_applet: Callable[..., dxpy.DXApplet], dx_platform: LocalPlatform
) -> None:
    file = dxpy.upload_string("text", name="text", folder="/a/b", parents=True, wait_on_close=True)
    waiting = make_applet("true", "bash").run({}, depends_on=[dxpy.new_dxfile(name="open")])
    running = make_applet("while true; do echo printed; sleep 0.1; done", "bash").run({})
    until(lambda: job_log(running, to_end=False))
    ids = [dx_project, file.get_id()]
    for job in (waiting, running):
        ids += [job.get_id(), job.describe()["workspace"]]
    dx("rmproject", "-y", dx_project)
    until(lambda: not dx_platform.job_processes())
    with contextlib.closing(sqlite3.connect(dx_platform.state / "platform.sqlite")) as database:
        # Answers to calls with a nonce are kept for an hour.
        rows = [row for row in database.iterdump() if not row.startswith('INSERT INTO "nonce"')]
    assert [row for row in rows if any(one in row for one in ids)] == []
    assert not (dx_platform.state / "parts" / file.get_id()).exists()


def test_project_is_removed_with_the_jobs_that_run_in_it(
    dx: Dx, dx_project: str, make_applet: Callable[..., dxpy.DXApplet], dx_platform: LocalPlatform
) -> None:
    job = make_applet("sleep 600", "bash").run({})
    in_state(job, "running")
    with pytest.raises(dxpy.exceptions.InvalidState, match="terminate them first"):
        dxpy.api.project_destroy(dx_project, {})
    dx("rmproject", "-y", dx_project)
    until(lambda: not dx_platform.job_processes())
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        job.describe()
    assert list(dxpy.find_projects(name="*removed_with_the_jobs*", name_mode="glob")) == []


def test_project_is_labelled_and_found(dx: Dx, dx_project: str) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    dx("tag", ":", "mine", "too")
    dx("untag", ":", "too")
    dx("set_properties", ":", "k=1", "empty=")
    dxpy.DXProject(other).set_properties({"k": "2"})
    description = json.loads(dx("describe", ":", "--json").stdout)
    assert description["tags"] == ["mine"]
    assert description["properties"] == {"k": "1", "empty": ""}
    assert dx("find", "projects", "--tag", "mine", "--brief").stdout == f"{dx_project}\n"
    assert dx("find", "projects", "--property", "k=1", "--brief").stdout == f"{dx_project}\n"
    assert other in dx("find", "projects", "--property", "k", "--brief").stdout
    dx("unset_properties", ":", "k")
    described = dxpy.api.project_describe(dx_project, {"fields": {"properties": True}})
    assert described["properties"] == {"empty": ""}


def test_flags_of_a_project_are_described_and_found(dx: Dx, dx_project: str) -> None:
    other = dx("new", "project", "p", "--database-ui-view-only", "--brief").stdout.strip()
    assert dxpy.describe(other)["databaseUIViewOnly"]
    uploads = ("--external-upload-restricted", "true")
    dx("update", "project", dx_project, "--restricted", "true", *uploads)
    found = dx("find", "projects", *uploads, "--brief").stdout.split()
    assert dx_project in found
    assert other not in found
    described = dxpy.describe(dx_project)
    assert (described["restricted"], described["protected"]) == (True, False)
    assert described["storageCost"] == 0


def test_project_for_health_information_is_refused_as_by_the_service(dx: Dx) -> None:
    refused = dx("new", "project", "p", "--phi", status=3).stderr
    assert "PermissionDenied: PHI features must be enabled for user-local" in refused


def test_viewers_are_restricted_with_downloads(dx_project: str) -> None:
    project = dxpy.DXProject(dx_project)

    def restricted() -> tuple[bool, bool]:
        described = project.describe()
        return described["downloadRestricted"], described["previewViewerRestricted"]

    project.update(download_restricted=True)
    assert restricted() == (True, True)
    with pytest.raises(dxpy.exceptions.InvalidInput, match="previewViewerRestricted"):
        project.update(download_restricted=False)
    project.update(preview_viewer_restricted=False)
    project.update(download_restricted=False)
    assert restricted() == (False, False)


def test_restrictions_of_results_and_programs_are_described_and_lifted(dx_project: str) -> None:
    project = dxpy.DXProject(dx_project)
    assert project.describe()["databaseResultsRestricted"] is None
    applet = "applet-" + "B" * 24
    project.update(allowed_executables=[applet], database_results_restricted=10)
    described = project.describe()
    assert described["allowedExecutables"] == [applet]
    assert described["databaseResultsRestricted"] == 10
    project.update(unset_allowed_executables=True, unset_database_results_restricted=True)
    described = project.describe()
    assert described["allowedExecutables"] is None
    assert described["databaseResultsRestricted"] is None


def test_folder_is_copied_into_another_project_with_those_below_it(dx: Dx, words: str) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    move_below(words, "/a/b")
    dxpy.DXProject(dxpy.WORKSPACE_ID).new_folder("/a/b/empty")
    dx("cp", "/a", f"{other}:/")
    assert paths(other) == {"/a/b/words.txt": words}
    assert dx("ls", f"{other}:/a/b").stdout == "empty/\nwords.txt\n"


def test_folder_is_not_copied_over_another(dx: Dx) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    for project in (dxpy.WORKSPACE_ID, other):
        dxpy.DXProject(project).new_folder("/a")
    assert "If cloned, a folder would conflict" in dx("cp", "/a", f"{other}:/", status=3).stderr


def test_folder_is_downloaded_with_what_it_holds(dx: Dx, words: str) -> None:
    move_below(words, "/a/b")
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


def test_missing_folder_of_a_copy_is_named(dx: Dx, words: str, dx_project: str) -> None:
    assert words
    other = dxpy.api.project_new({"name": "other"})["id"]
    refused = dx("cp", f"{dx_project}:/nowhere/words.txt", f"{other}:/", status=3).stderr
    assert f'Folder "/nowhere" does not exist in project "{dx_project}"' in " ".join(
        refused.split()
    )


def test_unknown_object_is_named_without_quotes(dx_project: str) -> None:
    from dxpy.utils.resolver import ResolutionError, _check_resolution_needed

    absent = "record-" + "1" * 24
    with pytest.raises(ResolutionError, match=f"The entity {absent} could not be found"):
        _check_resolution_needed("path", dx_project, "/", absent)


def test_greeting_is_answered(dx_project: str) -> None:
    assert dx_project
    assert dxpy.api.system_greet({"client": "dxclient", "version": "1"}) == {"messages": []}


def test_applet_that_was_built_is_got_with_its_labels(dx: Dx, dx_project: str) -> None:
    assert dx_project
    labels = {"types": ["Foo"], "tags": ["bar"], "properties": {"sample": "1"}}
    write_applet(dx.folder / "made", "true", **labels, details={"key": "value"})
    dx("build", "made")
    dx("get", "made", "-o", "got")
    got = json.loads((dx.folder / "got" / "dxapp.json").read_text())
    assert {name: got[name] for name in labels} == labels
    assert got["details"] == {"key": "value"}


def test_user_is_described(dx: Dx) -> None:
    described = json.loads(dx("describe", "user-local", "--json").stdout)
    assert (described["handle"], described["billTo"]) == ("local", "user-local")


def test_project_is_described_with_what_it_costs(dx: Dx, dx_project: str) -> None:
    printed = " ".join(dx("describe", dx_project).stdout.split())
    assert "Storage cost $0.000/month" in printed
    assert "Sponsored egress 0.00 GB used of 0.00 GB total" in printed
    assert "At spending limit? false" in printed
