"""The Lua files say what they take and return, and each is known by one constant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asynq_py.broker import scripts
from asynq_py.broker.scripts import Script

FOLDER = Path(scripts.__file__).parent / "lua"
FILES = sorted(FOLDER.glob("*.lua"))
CONSTANTS = {name: item for name, item in vars(scripts).items() if isinstance(item, Script)}

files = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def split(path: Path) -> tuple[str, str]:
    """The comment at the top of a script, and the rest."""
    lines = path.read_text().splitlines()
    end = next(index for index, line in enumerate(lines) if not line.startswith("--"))
    return "\n".join(lines[:end]), "\n".join(lines[end:])


def declared(header: str, name: str) -> tuple[list[int], bool]:
    """The numbers that a header gives of KEYS or ARGV; whether the last is open ("4+")."""
    entries = re.findall(rf"^-- {name}\[(\d+)(\+?)\]  ", header, re.MULTILINE)
    return [int(number) for number, _ in entries], any(plus for _, plus in entries)


def used(body: str, name: str) -> tuple[set[int], bool]:
    """The numbers that a body uses of KEYS or ARGV; whether it also computes some."""
    code = re.sub(r"--.*", "", body)
    literal = {int(number) for number in re.findall(rf"{name}\[(\d+)\]", code)}
    return literal, bool(re.search(rf"{name}\[[^\d\]]|#{name}", code))


@files
@pytest.mark.parametrize("name", ["KEYS", "ARGV"])
def test_the_header_names_what_the_body_uses_and_no_more(path: Path, name: str) -> None:
    header, body = split(path)
    numbers, is_open = declared(header, name)
    literal, computed = used(body, name)

    assert numbers == list(range(1, len(numbers) + 1)), "no gaps, in order"
    assert is_open == computed
    closed = numbers[:-1] if is_open else numbers
    assert literal - set(numbers) == set(), "all that is used is named"
    assert set(closed) - literal == set(), "all that is named is used"


@files
def test_the_header_says_what_it_does_returns_and_comes_from(path: Path) -> None:
    header, _ = split(path)

    assert header.startswith(f"-- {path.stem}: ")
    assert re.search(r"^-- Returns  +\S", header, re.MULTILINE)
    assert re.search(r"^-- Source  +(asynq v\d|ours: )", header, re.MULTILINE)


#: Leases are ours alone, and the one clock that all who stand for election share decides.
BY_THE_SERVERS_CLOCK = {"campaign"}


@files
def test_a_script_never_asks_for_the_servers_time_nor_for_chance(path: Path) -> None:
    _, body = split(path)

    if path.stem in BY_THE_SERVERS_CLOCK:
        body = body.replace('redis.call("TIME")', "")
    assert not re.search(r'"(TIME|RANDOMKEY|SRANDMEMBER)"|math\.random', body, re.IGNORECASE)


def test_each_file_is_one_constant_and_each_constant_a_file() -> None:
    assert [script.name for script in CONSTANTS.values()] == sorted(path.stem for path in FILES)
    for name, script in CONSTANTS.items():
        assert name == script.name.upper()
        assert script.text == (FOLDER / f"{script.name}.lua").read_text()


def test_the_check_sees_a_gap_and_what_is_not_named() -> None:
    header = "-- KEYS[1]  a\n-- KEYS[3]  b\n-- ARGV[1]   x\n-- ARGV[2+]  y"

    assert declared(header, "KEYS") == ([1, 3], False)
    assert declared(header, "ARGV") == ([1, 2], True)
    assert used('redis.call("GET", KEYS[2]) -- KEYS[9]', "KEYS") == ({2}, False)
    assert used("local k = 4; f(KEYS[k], KEYS[1])", "KEYS") == ({1}, True)
