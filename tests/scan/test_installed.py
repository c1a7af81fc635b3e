"""What a command is shown of the machine: what it was installed in, and never what lies around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ostiary.errors import CallerFault, GatewayFault
from ostiary.scan.installed import Installed, find_installed
from ostiary.scan.scanned import Target


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


def write(path: Path, text: str = "", *, program: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if program:
        path.chmod(0o755)
    return path


def found(home: Path, *command: str, cwd: Path | None = None, path: str = "", **given: str) -> Installed:
    target = Target(name="s", command=command, cwd=str(cwd or ""), environment=given)
    environ = {"HOME": str(home), "PATH": f"{path}:/usr/bin:/bin"}
    return find_installed(target, environ, [home / ".local/state/ostiary"], offline=True)


def environment(root: Path, base: Path) -> Path:
    """Like one of Python's: a program with a `#!` line, and an interpreter that is a link."""
    write(root / "pyvenv.cfg", f"home = {base / 'bin'}\n")
    write(base / "bin/python3", "", program=True)
    write(base / "lib/python3.11/os.py")
    (root / "bin").mkdir(exist_ok=True)
    (root / "bin/python").symlink_to(base / "bin/python3")
    return write(root / "bin/server", f"#!{root}/bin/python\n", program=True)


def test_an_environment_is_shown_with_the_interpreter_that_it_was_made_from(home: Path) -> None:
    base, root = home / ".pyenv/versions/3", home / "tools/venv"
    program = environment(root, base)

    one = found(home, str(program))

    assert set(one.shown) == {str(root), str(base)}
    assert one.command == (str(program),)
    assert str(root / "bin") in one.path


def test_a_link_among_other_programs_leads_to_where_it_was_installed_and_the_others_are_not_shown(
    home: Path,
) -> None:
    root = home / ".local/share/tool"
    program = environment(root, home / ".pyenv/versions/3")
    links = home / ".local/bin"
    links.mkdir(parents=True)
    (links / "server").symlink_to(program)
    write(links / "other", "", program=True)

    one = found(home, "server", path=str(links))

    assert one.command == (str(program),)
    assert set(one.shown) == {str(root), str(home / ".pyenv/versions/3")}


def test_a_single_program_in_the_home_folder_is_shown_alone(home: Path) -> None:
    program = write(home / ".cargo/bin/server", "\x7fELF", program=True)

    assert found(home, str(program)).shown == (str(program),)


def test_a_script_of_a_package_shows_the_package_and_one_beside_other_things_only_itself(home: Path) -> None:
    write(home / "src/pkg/pyproject.toml")
    inner = write(home / "src/pkg/app/server.py")
    alone, loose = write(home / "Documents/server.py"), write(home / "server.py")
    apart = write(home / "src/loose/server.py")

    assert found(home, "sh", str(inner)).shown == (str(home / "src/pkg"),)
    assert found(home, "sh", str(alone)).shown == (str(alone),)
    assert found(home, "sh", str(loose)).shown == (str(loose),)
    assert found(home, "sh", str(apart)).shown == (str(apart.parent),)


@pytest.mark.parametrize("mark", ["package.json", "pyproject.toml"])
def test_a_home_folder_that_looks_like_a_package_is_not_shown(home: Path, mark: str) -> None:
    write(home / mark, "{}")
    write(home.parent / mark, "{}")
    script = write(home / "x.py")

    assert found(home, "sh", str(script)).shown == (str(script),)


@pytest.mark.parametrize("folder", [".ssh", ".config/app", ".local/state/ostiary"])
def test_where_secrets_are_kept_is_never_shown_as_a_folder(home: Path, folder: str) -> None:
    write(home / folder / "package.json", "{}")
    script = write(home / folder / "server.js")

    assert str(home / folder) not in found(home, "sh", str(script)).shown


def test_the_folders_of_the_gate_are_not_shown_where_they_are_links_themselves(home: Path) -> None:
    secret = write(home / "elsewhere/keys", "k")
    (home / ".local/state").mkdir(parents=True)
    (home / ".local/state/ostiary").symlink_to(secret.parent)

    assert found(home, "sh", str(secret)).shown == ()


def test_the_folders_of_the_gate_are_not_shown_by_a_link_either(home: Path) -> None:
    secret = write(home / ".local/state/ostiary/keys", "k")
    link = home / "innocent.txt"
    link.symlink_to(secret)

    assert found(home, "sh", str(link), str(secret)).shown == ()


@pytest.mark.parametrize("leads_to", ["../.ssh", "..", "../.local/share", "../Documents"])
def test_a_link_in_a_repository_shows_no_folder_that_would_not_be_shown_by_its_name(
    home: Path, leads_to: str
) -> None:
    write(home / ".ssh/package.json", "{}")
    write(home / ".local/share/package.json", "{}")
    write(home / "Documents/letter.txt")
    write(home / "repo/packages/mine/package.json", "{}")
    script = write(home / "repo/packages/mine/main.js")
    (home / "repo/node_modules").symlink_to(leads_to)
    (home / "repo/lib").symlink_to(leads_to)

    one = found(home, "sh", str(script), str(home / "repo/lib/package.json"), "--directory=../../lib")

    assert {*one.shown} <= {str(script.parent), str(home / "repo/lib/package.json")}
    assert leads_to == "../Documents" or not any(Path(each).is_symlink() for each in one.shown)


@pytest.mark.parametrize("secret", [".ssh/id_rsa", ".netrc", ".claude.json", ".config/gh/hosts.yml"])
def test_where_secrets_are_kept_no_file_is_shown_by_its_name_nor_by_a_link(home: Path, secret: str) -> None:
    kept = write(home / secret, "s")
    write(home / "repo/package.json", "{}")
    link = home / "settings.txt"
    link.symlink_to(kept)

    one = found(home, "sh", str(kept), f"--config={link}", PYTHONPATH=str(kept.parent), cwd=home / "repo")

    assert one.shown == ()


def test_a_folder_is_not_searched_for_modules_where_it_holds_none(home: Path) -> None:
    write(home / "Documents/letter.txt")
    module = write(home / "lib/module.py")
    program = environment(home / "venv", home / ".pyenv/versions/3")
    write(home / "venv/lib/python3.11/site-packages/x.pth", f"{home}/Documents\n{module.parent}\n")

    searched = f"{home}/Documents:{module.parent}"

    assert found(home, "sh", PYTHONPATH=searched).shown == (str(module.parent),)
    assert str(home / "Documents") not in found(home, str(program)).shown
    assert str(module.parent) in found(home, str(program)).shown


def test_modules_are_shown_as_a_whole_and_those_of_the_repository_above_too(home: Path) -> None:
    entry = write(home / "app/node_modules/server/dist/index.js", "#!/usr/bin/env sh\n", program=True)
    (home / "app/node_modules/.bin").mkdir()
    link = home / "app/node_modules/.bin/server"
    link.symlink_to("../server/dist/index.js")
    write(home / "app/packages/mine/package.json", "{}")
    mine = write(home / "app/packages/mine/main.js")

    assert found(home, str(link)).shown == (str(home / "app/node_modules"),)
    assert set(found(home, "sh", str(mine)).shown) == {
        str(home / "app/packages/mine"),
        str(home / "app/node_modules"),
    }
    assert found(home, str(entry)).command == (str(entry),)


def test_folders_to_work_on_are_empty_and_a_named_file_is_shown(home: Path) -> None:
    (home / "Documents").mkdir()
    settings = write(home / "conf/settings.json", "{}")

    one = found(home, "sh", "run", str(home / "Documents"), f"--config={settings}", "--root", str(home))

    assert one.shown == (str(settings),)
    assert set(one.emptied) == {str(home / "Documents")}  # an empty home would hide the file in it


def test_a_shim_is_looked_behind_for_the_interpreter_that_it_would_start(home: Path) -> None:
    base, other = home / ".pyenv/versions/3.12.1", home / ".pyenv/versions/3.11.7"
    for each in (base, other):
        write(each / "bin/python3", "", program=True)
        write(each / f"lib/python{each.name[:4]}/os.py")
    shims = home / ".pyenv/shims"
    write(shims / "python3", '#!/usr/bin/env bash\nexec "$HOME/.pyenv/libexec/pyenv"\n', program=True)
    write(home / ".pyenv/version", "3.11.7\n")
    write(home / "proj/.python-version", "3.12.1\n")
    script = write(home / "bin/server", "#!/usr/bin/env python3\n", program=True)

    one = found(home, "python3", path=str(shims))
    by_script = found(home, str(script), path=str(shims))

    assert one.command == (str(other / "bin/python3"),)
    assert one.shown == (str(other),)
    assert found(home, "python3", path=str(shims), cwd=home / "proj").command[0].startswith(str(base))
    assert found(home, "python3", path=str(shims), PYENV_VERSION="3.12.1").shown == (str(base),)
    assert found(home, "python3", path=str(shims), PYENV_VERSION="../../../../x").shown != (str(base),)
    assert str(other / "bin") in by_script.path
    assert str(shims) not in by_script.path


def test_words_are_read_from_the_folder_that_it_starts_in(home: Path) -> None:
    write(home / "proj/package.json", "{}")
    write(home / "proj/dist/index.js")

    one = found(home, "sh", "dist/index.js", cwd=home / "proj")

    assert one.shown == (str(home / "proj"),)
    assert one.folder == str(home / "proj")
    assert found(home, "sh", "-c", "true", cwd=home / "proj").folder == ""


def test_a_program_that_is_not_there_is_told_with_the_near_match(home: Path) -> None:
    with pytest.raises(GatewayFault) as caught:
        found(home, "ssh-keygenn-of-nobody")
    assert "no such command" in caught.value.message


def package(folder: Path, version: str = "1.2.3", **about: object) -> Path:
    write(folder / "package.json", json.dumps({"version": version, "bin": {"srv": "cli.js"}, **about}))
    return write(folder / "cli.js")


@pytest.fixture
def node(tmp_path: Path) -> str:
    """A folder with a program `node`, for a machine that may have none."""
    write(tmp_path / "bin/node", "", program=True)
    return str(tmp_path / "bin")


@pytest.mark.parametrize(
    "words",
    [
        ("npx", "-y", "@me/srv", "--flag"),
        ("npx", "--yes", "@me/srv@1.2.3", "--flag"),
        ("npx", "-p", "@me/srv", "srv", "--flag"),
        ("npm", "exec", "--", "@me/srv", "--flag"),
        ("/usr/bin/bunx", "@me/srv@latest", "--flag"),
    ],
)
def test_a_package_that_was_fetched_before_is_started_without_its_launcher(
    home: Path, node: str, words: tuple[str, ...]
) -> None:
    entry = package(home / ".npm/_npx/abc/node_modules/@me/srv")

    one = found(home, *words, path=node)

    assert one.command == (f"{node}/node", str(entry), "--flag")
    assert str(home / ".npm/_npx/abc/node_modules") in one.shown


@pytest.mark.parametrize(
    "words", [("npx", "@me/srv@9.9.9"), ("npx", "other"), ("npx", "../srv"), ("uvx", "x")]
)
def test_what_is_not_on_the_machine_in_that_version_is_told_as_such(
    home: Path, node: str, words: tuple[str, ...]
) -> None:
    package(home / ".npm/_npx/abc/node_modules/@me/srv")
    package(home / ".npm/_npx/abc/srv")

    with pytest.raises(CallerFault) as caught:
        found(home, *words, path=node)

    assert "would fetch" in caught.value.message
    assert "install it first" in (caught.value.hint or "")


def test_an_installed_tool_is_started_without_uvx(home: Path) -> None:
    root = home / ".local/share/uv/tools/server"
    program = environment(root, home / ".pyenv/versions/3")

    assert found(home, "uvx", "server@latest", "-v").command == (str(program), "-v")
    assert found(home, "uv", "tool", "run", "--from", "server", "server").command == (str(program),)


def test_a_project_of_uv_is_started_by_its_own_environment(home: Path) -> None:
    environment(home / "proj/.venv", home / ".pyenv/versions/3")
    write(home / "proj/pyproject.toml")
    write(home / "proj/main.py")

    by_script = found(home, "uv", "--directory", str(home / "proj"), "run", "main.py")
    by_name = found(home, "uv", "run", "--project", str(home / "proj"), "server", cwd=home)

    assert by_script.command == (str(home / "proj/.venv/bin/python"), str(home / "proj/main.py"))
    assert str(home / "proj") in by_script.shown
    assert by_name.command[0] == str(home / "proj/.venv/bin/server")


def test_a_container_is_told_to_need_no_walls_of_ours(home: Path) -> None:
    with pytest.raises(CallerFault, match="socket"):
        found(home, "docker", "run", "-i", "--rm", "image")


def test_links_that_go_round_end(home: Path) -> None:
    a, b = home / "a", home / "b"
    b.symlink_to(a)
    a.symlink_to(b)

    with pytest.raises(GatewayFault):
        found(home, str(a))
    assert found(home, "sh", str(a)).shown == ()
