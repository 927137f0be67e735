"""Every block of the docs is run, or is told not to be, and why. docs/conventions.md has the rules."""

import inspect
import itertools
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys

import doc_page
import isthmus
import pytest
import scripts

sys.path.append(str(doc_page.ROOT / "docs"))
import reference  # noqa: E402

TESTS = pathlib.Path(__file__).parent
PAGES = [doc_page.ROOT / "README.md", *sorted((doc_page.ROOT / "docs").glob("*.md")),
         *sorted((doc_page.ROOT / "src").rglob("*.md")), doc_page.ROOT / "jvm" / "README.md"]
SECONDS = 600  # then it hangs


def label(path):
    return str(path.relative_to(doc_page.ROOT))


@pytest.mark.parametrize("path", PAGES, ids=label)
def test_blocks_are_sound(path):
    for block in doc_page.Page(path).blocks:
        try:
            doc_page.parse(block, path)
        except Exception as error:
            raise AssertionError(f"{label(path)}:{block.line}: {error}") from error


@pytest.mark.parametrize("path", [path for path in PAGES if any(block.runs for block in doc_page.Page(path).blocks)],
                         ids=label)
def test_page_runs(path, tmp_path):
    page = doc_page.Page(path)
    home = tmp_path / "home"
    folder = home / "work"
    folder.mkdir(parents=True)
    script = tmp_path / path.name.replace(".md", ".py")
    script.write_text(page.script(), encoding="utf-8")
    environment = scripts.environment(
        HOME=str(home), ISTHMUS_HOME=str(home / ".isthmus"), DATABRICKS_CONFIG_FILE=str(home / "none"),
        PYTHONPATH=str(TESTS), PATH=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")
    run_by = ["-m", "isthmus.run"] if page.by_isthmus_run else []
    process = subprocess.Popen([sys.executable, *run_by, str(script)], cwd=folder, env=environment, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
    try:
        output, errors = process.communicate(timeout=SECONDS)
    finally:
        subprocess.run([sys.executable, "-c", "import isthmus; isthmus.stop()"], env=environment)
        try:
            os.killpg(process.pid, signal.SIGKILL)  # what the page left running
        except ProcessLookupError:
            pass
    assert process.returncode == 0, f"{label(path)}: {errors[-3000:]}\n{output[-2000:]}"
    wrong = [f"{label(path)}:{block.line} prints\n{text}" for block in page.blocks
             if (text := difference(block, output)) is not None]
    assert not wrong, "\n\n".join(wrong)


def difference(block, output):
    """What a block printed, where the page tells something else."""
    if block.output is None or not block.runs:
        return None
    after = output.split(f"{doc_page.MARK}{block.line}\n", 1)[1].split(doc_page.MARK, 1)[0]
    got, told = tidy(scripts.printed(after)), tidy(block.output)
    lines = [r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n"
             for line in told.splitlines()]
    return None if re.fullmatch("".join(lines), got + "\n") else got


def tidy(lines):
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def test_commands_of_cli_md_are_typed_right(tmp_path):
    """By somebody with a token that is none: what is refused was understood."""
    (tmp_path / "job.py").write_text("")
    examples = re.findall(r"^    (isthmus (?!.*\[OPTION).+)$", (doc_page.ROOT / "docs" / "cli.md").read_text(), re.M)
    assert len(examples) > 50
    for example in examples:
        words = shlex.shlex(example, posix=True, punctuation_chars="|<>")
        words.whitespace_split = True
        command = list(itertools.takewhile(lambda word: word not in ("|", "<", ">"), words))
        done = subprocess.run([isthmus.services.binary(), *command[1:]], cwd=tmp_path, input="value", text=True,
                              capture_output=True, env={**os.environ, "ISTHMUS_TOKEN": "nobody's"}, timeout=60)
        assert done.returncode in (0, 1), f"{example}: {done.stderr}"


@pytest.mark.parametrize("path", PAGES, ids=label)
def test_links_lead_somewhere(path):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", path.read_text(encoding="utf-8")):
        found = path.parent / target if target else path
        assert found.exists(), f"{label(path)} links to {target}"
        assert not anchor or anchor in headings(found), f"{label(path)} links to {target}#{anchor}"


@pytest.mark.parametrize("name", reference.PAGES)
def test_reference_is_current(name):
    kept = (doc_page.ROOT / "docs" / name).read_text(encoding="utf-8")
    assert kept == reference.page(name), f"docs/{name} is stale: make docs"


def test_reference_has_every_call():
    told = {name for _, module, names in reference.PYTHON if module == "isthmus" for name in names}
    calls = {name for name in isthmus.__all__ if not inspect.ismodule(getattr(isthmus, name)) and not name.endswith("Error")}
    assert calls == told


def test_index_has_every_page():
    folder = doc_page.ROOT / "docs"
    told = set(re.findall(r"\(([\w-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8")))
    assert told == {path.name for path in folder.glob("*.md")} - {"README.md"}


def headings(path):
    """The anchors that a page's headings are, as the pages' hosts make them."""
    lines = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}
