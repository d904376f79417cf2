"""RedisConfig: every form of URL, and what is said of those that cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py import ConfigError, RedisConfig

HERE = (("localhost", 6379),)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", RedisConfig()),
        ("redis://localhost:6379/0", RedisConfig()),
        ("redis://cache", RedisConfig(addresses=(("cache", 6379),))),
        ("redis://cache:7000/3", RedisConfig(addresses=(("cache", 7000),), db=3)),
        ("redis://cache?db=4", RedisConfig(addresses=(("cache", 6379),), db=4)),
        ("redis://:pw@cache", RedisConfig(addresses=(("cache", 6379),), password="pw")),
        (
            "redis://joe:p%40%2F%3A@cache/1",
            RedisConfig(addresses=(("cache", 6379),), username="joe", password="p@/:", db=1),
        ),
        ("redis://[::1]:7000/0", RedisConfig(addresses=(("::1", 7000),))),
        ("redis://[fe80::1]", RedisConfig(addresses=(("fe80::1", 6379),))),
        (
            "rediss://:pw@cache:6380/2",
            RedisConfig(addresses=(("cache", 6380),), password="pw", db=2, tls=True),
        ),
        ("unix:///run/redis.sock", RedisConfig(kind="unix", path="/run/redis.sock")),
        ("unix:///run/a@b.sock?db=2", RedisConfig(kind="unix", path="/run/a@b.sock", db=2)),
        (
            "unix://joe:pw@/run/my%20redis.sock",
            RedisConfig(kind="unix", path="/run/my redis.sock", username="joe", password="pw"),
        ),
        (
            "redis-socket://:pw@/run/redis.sock?db=3",
            RedisConfig(kind="unix", path="/run/redis.sock", password="pw", db=3),
        ),
        ("redis-socket://redis.sock", RedisConfig(kind="unix", path="redis.sock")),
        (
            "redis-sentinel://h1,h2:5000,[::1]:6000/4?master=mymaster",
            RedisConfig(
                kind="sentinel",
                addresses=(("h1", 26379), ("h2", 5000), ("::1", 6000)),
                db=4,
                master="mymaster",
            ),
        ),
        (
            "redis-sentinel://joe:pw@h1?master=m",
            RedisConfig(
                kind="sentinel",
                addresses=(("h1", 26379),),
                master="m",
                sentinel_username="joe",
                sentinel_password="pw",
            ),
        ),
        (
            "redis-cluster://:pw@h1,h2:7001",
            RedisConfig(kind="cluster", addresses=(("h1", 6379), ("h2", 7001)), password="pw"),
        ),
        ("redis-cluster://h1/", RedisConfig(kind="cluster", addresses=(("h1", 6379),))),
    ],
)
def test_a_url_stands_for_a_configuration(url: str, expected: RedisConfig) -> None:
    assert RedisConfig.from_url(url) == expected


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "begins with one of redis://"),
        ("localhost:6379", "begins with one of redis://"),
        ("http://localhost", "not http://"),
        ("redis://h:port", "port"),
        ("redis://h:0", "from 1 to 65535"),
        ("redis://h:65536", "65536"),
        ("redis://h:-1", "port"),
        ("redis://h:٣", "port"),
        ("redis://h/one", "database"),
        ("redis://h/-1", "database"),
        ("redis://h/0/1", "database"),
        ("redis://h?db=x", "database"),
        ("redis://h?ssl=true", "'ssl'"),
        ("redis://h?DB=1", "'DB'"),
        ("redis://h1,h2", "names one host"),
        ("redis://[::1", "IPv6"),
        ("unix://", "path"),
        ("unix:///", "path"),
        ("redis-socket://?db=1", "path"),
        ("redis-sentinel://h1", "master"),
        ("redis-sentinel://h1?master=", "master"),
        ("redis-sentinel://h1?db=1&master=m", "'db'"),
        ("redis-cluster://h1/1", "no database"),
        ("redis-cluster://h1?db=1", "no database"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_with_the_reason(url: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        RedisConfig.from_url(url)

    assert caught.value.written is False


_SECRETS = st.text(
    st.characters(codec="utf-8", exclude_characters="[]", exclude_categories=("Cc", "Zs")),
    min_size=1,
    max_size=8,
).map(lambda text: f"s3cret{text}s3cret")


@given(
    secret=_SECRETS,
    shape=st.sampled_from(
        [
            "redis://:{}@h:99999",
            "redis://joe:{}@h/x",
            "rediss://:{}@h/0?nope=1",
            "redis-sentinel://:{}@h",
            "redis-cluster://:{}@h/1",
            "unix://:{}@/",
            "redis://:{}@[::1",
            "http://joe:{}@h",
        ]
    ),
)
def test_an_error_never_repeats_the_password(secret: str, shape: str) -> None:
    # The secret stands there raw: with "/", "?", "#" or "@" in it the URL falls apart.
    with pytest.raises(ConfigError) as caught:
        RedisConfig.from_url(shape.format(secret))

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(secret=_SECRETS)
def test_a_password_is_not_in_the_repr(secret: str) -> None:
    config = RedisConfig(password=secret, sentinel_password=secret)

    assert "s3cret" not in repr(config)


def test_with_password_changes_nothing_else() -> None:
    config = RedisConfig.from_url("redis-sentinel://:a@h?master=m").with_password("b")

    assert (config.password, config.sentinel_password, config.master) == ("b", "a", "m")


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(AttributeError):
        RedisConfig().db = 1  # type: ignore[misc]
