"""How every command is told where Redis is, who asks, and over what."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from asynq_py.testing.redis_server import RedisServer, RedisStartError, free_port
from tests.support.commands import Command

StartServer = Callable[..., RedisServer]
NOWHERE = "redis://localhost:1"


@pytest.fixture
def guarded(start_server: StartServer) -> RedisServer:
    """A server that wants to know who asks: the user app with the password "s/e#c"."""
    server = start_server(requirepass="root")
    server.command("ACL", "SETUSER", "app", "on", ">s/e#c", "~*", "&*", "+@all")
    return server


def place(server: RedisServer) -> str:
    """Its URL without a password."""
    return f"redis://{server.address}"


# -- every command --


@pytest.mark.parametrize(
    "arguments",
    [
        ["enqueue", "t"],
        ["task", "enqueue", "t"],
        ["task", "ls", "q", "pending"],
        ["task", "inspect", "q", "i"],
        ["task", "cancel", "i"],
        ["task", "run", "q", "i"],
        ["task", "archive", "q", "i"],
        ["task", "delete", "q", "i"],
        ["task", "update", "q", "i", "p"],
        ["task", "runall", "q", "retry", "--yes"],
        ["task", "archiveall", "q", "retry", "--yes"],
        ["task", "deleteall", "q", "retry", "--yes"],
        ["queue", "ls"],
        ["queue", "inspect", "q"],
        ["queue", "history", "q"],
        ["queue", "pause", "q"],
        ["queue", "resume", "q"],
        ["queue", "unpause", "q"],
        ["queue", "rm", "q"],
        ["group", "ls", "q"],
        ["server", "ls"],
        ["stats"],
        ["stats", "--watch"],
        ["cron", "ls"],
        ["cron", "history", "e"],
        ["cron", "pause", "e"],
        ["cron", "resume", "e"],
        ["cron", "trigger", "e"],
    ],
    ids=" ".join,
)
def test_without_redis_every_command_fails_in_one_line(
    arguments: list[str], command: Command
) -> None:
    for where in (NOWHERE, "http://localhost"):
        ran = command(*arguments, "--redis", where)

        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith("asynq-py: ")
        assert ran.err.count("\n") == 1


# -- URLs and files --


def test_the_environment_and_a_file_say_where_redis_is(
    command: Command, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "asynq.toml"
    config.write_text(f'redis = "{server.url}"\n')
    nowhere = "redis://localhost:1"

    assert command("cron", "ls", "--config", str(config)).code == 0
    monkeypatch.setenv("ASYNQ_CONFIG", str(config))
    assert command("cron", "ls").code == 0
    monkeypatch.setenv("ASYNQ_REDIS_URL", nowhere)
    assert command("cron", "ls").code == 1
    assert command("cron", "ls", "--redis", server.url).code == 0
    monkeypatch.setenv("ASYNQ_REDIS_URL", server.url)
    assert command("cron", "ls").code == 0
    assert command("cron", "ls", "--redis", nowhere).code == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "it cannot be read: No such file or directory"),
        ("redis = ", "Invalid value (at end of document)"),
        ("redis = 1", "redis must be a URL in quotes or a table, not int"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_an_error(
    text: str | None, error: str, command: Command, tmp_path: Path
) -> None:
    config = tmp_path / "asynq.toml"
    if text is not None:
        config.write_text(text)

    ran = command("cron", "ls", "--config", str(config))

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"asynq-py: {config}: {error}\n"


# -- before the command --


@pytest.mark.parametrize("words", [["queue", "ls"], ["server", "ls"], ["cron", "ls"], ["stats"]])
def test_the_options_may_stand_before_the_command(
    words: list[str], command: Command, server: RedisServer
) -> None:
    here, there = ["--redis", server.url], ["--redis", NOWHERE]
    group, name = words[:-1], words[-1:]

    assert command(*here, *words).code == 0
    assert command(*there, *words).code == 1
    assert command(*group, *here, *name).code == 0
    # The one that is nearest to the command wins.
    assert command(*there, *words, *here).code == 0
    assert command(*here, *words, *there).code == 1
    if group:
        assert command(*there, *group, *here, *name).code == 0
        assert command(*here, *group, *there, *name).code == 1


def test_options_before_the_command_win_over_the_environment_and_the_file(
    command: Command, guarded: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("s/e#c")
    wrong.write_text("wrong")
    config = tmp_path / "asynq.toml"
    config.write_text(f'[redis]\nurl = "{place(guarded)}"\nusername = "app"\npassword = "wrong"\n')
    monkeypatch.setenv("ASYNQ_REDIS_URL", NOWHERE)
    monkeypatch.setenv("ASYNQ_REDIS_PASSWORD", "wrong")
    outer = ["--config", str(config), "--redis", place(guarded), "--password-file"]

    assert command(*outer, str(right), "queue", "ls").code == 0
    assert command(*outer, str(wrong), "queue", "ls").code == 1
    # Each setting by itself: the user of the file, the server from before, the password from after.
    assert command(*outer, str(wrong), "queue", "ls", "--password-file", str(right)).code == 0
    assert command(*outer, str(right), "queue", "ls", "--username", "default").code == 1


def test_what_needs_no_redis_takes_the_options_all_the_same(command: Command) -> None:
    assert command("--redis", NOWHERE, "cron", "explain", "@daily").code == 0


# -- users and passwords --


def test_a_user_and_a_password_file_lead_in(
    command: Command, guarded: RedisServer, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s/e#c\n")
    redis = ["--redis", place(guarded)]

    assert command("queue", "ls", *redis).code == 1
    assert command("queue", "ls", *redis, "--username", "app").code == 1
    user = [*redis, "--username", "app", "--password-file", str(secret)]
    assert command("queue", "ls", *user).code == 0
    # Older commands, too.
    assert command("cron", "ls", *user).code == 0


@pytest.mark.parametrize(
    "arguments", [["queue", "ls"], ["enqueue", "t"], ["cron", "ls"], ["doctor"]], ids=" ".join
)
@pytest.mark.parametrize(("user", "code"), [("", "NOAUTH"), (":wrong@", "WRONGPASS")])
def test_who_is_not_let_in_is_told_how_to(
    user: str, code: str, arguments: list[str], command: Command, guarded: RedisServer
) -> None:
    ran = command(*arguments, "--redis", f"redis://{user}{guarded.address}")

    assert (ran.code, ran.out) == (1, "")
    assert f" {code} " in ran.err
    assert ran.err.endswith(
        " (--username and --password-file say who asks, or ASYNQ_REDIS_PASSWORD)\n"
    )
    assert ran.err.count("\n") == 1


def test_the_environment_leads_in(
    command: Command, guarded: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s/e#c")
    monkeypatch.setenv("ASYNQ_REDIS_URL", place(guarded))
    monkeypatch.setenv("ASYNQ_REDIS_USERNAME", "app")
    monkeypatch.setenv("ASYNQ_REDIS_PASSWORD_FILE", str(secret))
    assert command("queue", "ls").code == 0
    monkeypatch.setenv("ASYNQ_REDIS_PASSWORD", "wrong")
    assert command("queue", "ls").code == 1
    monkeypatch.setenv("ASYNQ_REDIS_PASSWORD", "s/e#c")
    assert command("queue", "ls").code == 0


def test_a_file_leads_in_and_names_other_files_beside_it(
    command: Command, guarded: RedisServer, tmp_path: Path
) -> None:
    config = tmp_path / "asynq.toml"
    head = f'[redis]\nurl = "{place(guarded)}"\nusername = "app"\n'
    (tmp_path / "secret").write_text("s/e#c\n")

    for line in ('password = "s/e#c"', 'password_file = "secret"'):
        config.write_text(head + line)
        assert command("queue", "ls", "--config", str(config)).code == 0
    config.write_text(head)
    assert command("queue", "ls", "--config", str(config)).code == 1


def test_options_win_over_the_environment_and_that_over_the_file(
    command: Command, guarded: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("s/e#c")
    wrong.write_text("wrong")
    config = tmp_path / "asynq.toml"
    monkeypatch.setenv("ASYNQ_CONFIG", str(config))

    def code(*arguments: str) -> int:
        return command("queue", "ls", *arguments).code

    # Each setting by itself: the file's user goes with the environment's password.
    config.write_text(f'[redis]\nurl = "{place(guarded)}"\nusername = "app"\npassword = "wrong"\n')
    assert code() == 1
    monkeypatch.setenv("ASYNQ_REDIS_PASSWORD", "s/e#c")
    assert code() == 0
    assert code("--password-file", str(wrong)) == 1
    monkeypatch.setenv("ASYNQ_REDIS_PASSWORD", "wrong")
    assert code("--password-file", str(right)) == 0
    monkeypatch.setenv("ASYNQ_REDIS_URL", NOWHERE)
    assert code("--password-file", str(right)) == 1
    assert code("--password-file", str(right), "--redis", place(guarded)) == 0


def test_what_a_url_says_counts_as_much_as_the_url(
    command: Command, guarded: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong")
    url = f"redis://app:s%2Fe%23c@{guarded.address}"
    monkeypatch.setenv("ASYNQ_REDIS_PASSWORD", "wrong")

    assert command("queue", "ls", "--redis", url).code == 0
    assert command("queue", "ls", "--redis", url, "--password-file", str(secret)).code == 1


def test_a_password_is_never_shown(
    command: Command, guarded: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNQ_REDIS_PASSWORD", "hunter2")
    config = tmp_path / "asynq.toml"
    config.write_text('[redis]\npassword = "hunter2"\nuser = "x"\n')

    for arguments in (
        ["queue", "ls", "--redis", place(guarded)],
        ["queue", "ls", "--redis", f"redis://:hunter2@{guarded.address}"],
        ["queue", "ls", "--config", str(config)],
        ["queue", "ls", "--help"],
    ):
        ran = command(*arguments)
        assert "hunter2" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('user = "x"', "unknown key 'user' in [redis]; did you mean 'username'?"),
        ("username = 1", "username in [redis] must be text in quotes, not int"),
        ('tls = "yes"', "tls in [redis] must be true or false, not str"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(
    text: str, error: str, command: Command, tmp_path: Path
) -> None:
    config = tmp_path / "asynq.toml"
    config.write_text(f"[redis]\n{text}\n")

    ran = command("queue", "ls", "--config", str(config))

    assert (ran.code, ran.out, ran.err) == (1, "", f"asynq-py: {config}: {error}\n")


def test_a_password_file_that_is_not_there_is_an_error(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "nope"

    ran = command("queue", "ls", "--password-file", str(path))

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"asynq-py: {path}: it cannot be read: No such file or directory\n"


# -- TLS --


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and what it signed: here.pem for 127.0.0.1, other.pem for another host."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "rsa:2048", "-nodes", "-keyout"]
    run(*("req", "-x509", "-subj", "/CN=ca", "-days", "2", *key, "ca.key", "-out", "ca.pem"))
    for name, san in (("here", "IP:127.0.0.1"), ("other", "DNS:other.example")):
        run("req", "-subj", f"/CN={name}", *key, f"{name}.key", "-out", f"{name}.csr")
        (folder / f"{name}.ext").write_text(f"subjectAltName={san}\n")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
        run(
            *("x509", "-req", "-in", f"{name}.csr", *signed),
            *("-extfile", f"{name}.ext", "-out", f"{name}.pem"),
        )
    return folder


@pytest.fixture
def start_tls(start_server: StartServer, certificates: Path) -> Callable[..., str]:
    """Starts a server that speaks TLS with a certificate; gives its address."""

    def start(name: str, *, asks: bool = False) -> str:
        port = free_port()
        try:
            start_server(
                tls_port=port,
                tls_cert_file=str(certificates / f"{name}.pem"),
                tls_key_file=str(certificates / f"{name}.key"),
                tls_ca_cert_file=str(certificates / "ca.pem"),
                tls_auth_clients="yes" if asks else "no",
            )
        except RedisStartError as error:
            if "Bad directive" in str(error):
                pytest.skip("this Redis was built without TLS")
            raise
        return f"127.0.0.1:{port}"

    return start


def test_tls_is_spoken_with_who_is_trusted(
    command: Command, start_tls: Callable[..., str], certificates: Path
) -> None:
    address = start_tls("here")
    trusted = ["--tls-ca", str(certificates / "ca.pem")]

    def code(url: str, *arguments: str) -> int:
        ran = command("queue", "ls", "--redis", url, *arguments)
        assert ran.code == 0 or ran.err.count("\n") == 1
        return ran.code

    assert code(f"rediss://{address}") == 1  # whose authority nobody knows
    assert code(f"rediss://{address}", *trusted) == 0
    assert code(f"redis://{address}", "--tls", *trusted) == 0
    # Who says how to speak it wants it spoken.
    assert code(f"redis://{address}", *trusted) == 0
    assert code(f"redis://{address}") == 1
    assert code(f"rediss://{address}", "--tls-ca", str(certificates / "nope")) == 1


def test_a_certificate_of_another_host_is_taken_only_if_told(
    command: Command,
    start_tls: Callable[..., str],
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis = ["--redis", f"rediss://{start_tls('other')}"]
    redis += ["--tls-ca", str(certificates / "ca.pem")]

    assert command("queue", "ls", *redis).code == 1
    assert command("queue", "ls", *redis, "--no-tls-hostname-check").code == 0
    monkeypatch.setenv("ASYNQ_REDIS_NO_TLS_HOSTNAME_CHECK", "1")
    assert command("queue", "ls", *redis).code == 0


def test_a_certificate_is_shown_to_who_asks_for_it(
    command: Command, start_tls: Callable[..., str], certificates: Path, tmp_path: Path
) -> None:
    address = start_tls("here", asks=True)
    redis = ["--redis", f"rediss://{address}", "--tls-ca", str(certificates / "ca.pem")]
    own = ["--tls-cert", str(certificates / "here.pem"), "--tls-key"]
    own.append(str(certificates / "here.key"))
    config = certificates / "asynq.toml"
    config.write_text(
        f'[redis]\nurl = "redis://{address}"\ntls_ca = "ca.pem"\n'
        'tls_cert = "here.pem"\ntls_key = "here.key"\n'
    )

    assert command("queue", "ls", *redis).code == 1
    assert command("queue", "ls", *redis, *own).code == 0
    assert command("queue", "ls", "--config", os.path.relpath(config)).code == 0
