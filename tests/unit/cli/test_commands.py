"""The commands as a whole: what `--help`, `--version` and the reference say of them."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from modomodo.cli import app
from modomodo.examples import EXAMPLES, GROUPS

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"


def commands():
    """All commands by what is typed: `study create`."""

    def below(command, path):
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield " ".join(path), command
            for name, inner in command.commands.items():
                yield from below(inner, (*path, name))
        else:
            yield " ".join(path), command

    return dict(below(typer.main.get_command(app), ()))


COMMANDS = commands()


def test_the_reference_has_every_command_and_no_other():
    rows = re.findall(r"^\| `modomodo ([^`]+)` \| (.+?) \|$", REFERENCE.read_text(), re.MULTILINE)
    said = {name: " ".join(c.help.split("\n\n")[0].split()) for name, c in COMMANDS.items()}
    assert dict(rows) == said


def test_the_reference_has_every_example():
    page = REFERENCE.read_text()
    assert all(line in page for lines in EXAMPLES.values() for line in lines)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_that_the_command_understands(name):
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    for line in EXAMPLES[name]:
        assert line in shown.output
        program, *words = shlex.split(line)
        assert program == "modomodo"
        arguments = words[len(name.split()) :]
        assert words[: len(name.split())] == name.split()
        COMMANDS[name].make_context(name, arguments)  # parses, and does nothing


@pytest.mark.parametrize("name", GROUPS)
def test_help_of_a_group_has_examples_of_its_commands(name):
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "For example:" in shown.output
    for line in GROUPS[name]:
        assert line in shown.output
        words = shlex.split(line)[1:]
        command = words[0] if words[0] in COMMANDS else " ".join(words[:2])
        assert command.split()[: len(name.split())] == name.split()
        COMMANDS[command].make_context(command, words[len(command.split()) :])


def test_every_group_has_examples():
    assert set(GROUPS) == {"", *(name.rpartition(" ")[0] for name in COMMANDS)}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("suggest --data x.csv -n many", "'-n' / '--number': 'many' is not a whole number"),
        ("suggest --data x.csv -n 0", "'-n' / '--number': '0' is less than 1"),
        ("suggest --data x.csv --alpha-single x", "'--alpha-single': 'x' is not a number"),
        ("trial list vlm --state x", "'--state': 'x' is not one of 'queued', 'running'"),
        ("study export vlm --format xlsx", "'--format': 'xlsx' is not one of"),
    ],
)
def test_a_wrong_option_is_named_and_said_in_plain_words(command, words):
    shown = CliRunner().invoke(app, command.split(), env={"COLUMNS": "200"})
    assert shown.exit_code == 2
    assert f"Invalid value for {words}" in shown.output
    assert "nput should" not in shown.output
    assert "Value error" not in shown.output


def test_the_version_is_printed():
    shown = CliRunner().invoke(app, ["--version"])
    assert shown.exit_code == 0
    assert re.fullmatch(r"modomodo \d+\.\d+\S*\n", shown.stdout)
