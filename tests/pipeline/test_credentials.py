"""Credentials: refused in addresses, without telling them; blotted out of what is told."""

import pytest

from seimai.errors import ConfigError, InputError, RunError
from seimai.pipeline.credentials import refuse_credentials, without_secrets
from seimai.pipeline.fetch_config import FetchConfig, access_of
from seimai.pipeline.inputs import InputConfig, find_sources


@pytest.mark.parametrize(
    "place",
    [
        "s3://key:secret-word@bucket/run",
        "s3://secret-word@bucket/run",
        "https://me:secret-word@host/x.warc.gz",
        "sftp://me:secret-word@host/run",
        "s3://bucket/x.warc.gz?X-Amz-Signature=secret-word",
        "https://bucket.s3.amazonaws.com/x.warc.gz?X-Amz-Expires=9&X-Amz-Signature=secret-word",
        "https://account.blob.core.windows.net/x.warc.gz?sv=2024&sig=secret-word",
        "abfs://container:secret-word@account.dfs.core.windows.net/run",
    ],
)
def test_an_address_with_a_secret_is_refused_without_telling_it(place: str) -> None:
    with pytest.raises(
        RunError, match=r"^\w+://…: has a user, key or signature in it; .* in the environment"
    ) as caught:
        refuse_credentials(place, RunError)
    assert "secret-word" not in str(caught.value)
    with pytest.raises(InputError, match=r"has a user, key or signature in it"):
        find_sources(InputConfig(), [place])
    for name in ("base", "index"):
        with pytest.raises(ConfigError, match=r"has a user, key or signature in it"):
            access_of(FetchConfig.model_validate({name: place}), "me@example.org")


@pytest.mark.parametrize(
    "place",
    [
        "s3://bucket/a@b:c/run",
        "sftp://me@host/run",
        "abfs://container@account.dfs.core.windows.net/run",
        "https://host/x.warc.gz?design=1&signs=2",
        "runs/me:you@here",
        "/data/x?sig=1",
        "CC-MAIN-2024-51",
    ],
)
def test_an_address_without_one_is_not(place: str) -> None:
    refuse_credentials(place, RunError)


def test_what_the_environment_keeps_is_blotted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something-secret")
    monkeypatch.setenv("MY_TOKEN", "short")
    monkeypatch.setenv("EDITOR", "something-plain")
    assert without_secrets("403 for something-secret of something-plain, in short") == (
        "403 for *** of something-plain, in short"
    )
