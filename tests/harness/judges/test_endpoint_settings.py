"""Where the endpoint is and how it may be used: the judge's name and the environment."""

from pathlib import Path

import pytest

from hermes.harness.judges.endpoint.judge import replies_file
from hermes.harness.models.served.reference import MODEL
from hermes.harness.system.endpoint.settings import read_settings
from hermes.harness.system.errors import HermesError


def test_the_name_says_model_and_address():
    settings = read_settings("org/model:7b@1@https://h.example:81/v1/", {"OPENAI_API_KEY": "sk-5"})
    assert (settings.model, settings.address) == ("org/model:7b@1", "https://h.example:81/v1")
    assert settings.host == "h.example:81"
    assert "sk-5" not in repr(settings)


def test_replies_are_kept_by_the_models_name(monkeypatch):
    monkeypatch.setenv("HERMES_CACHE", "/c")
    assert replies_file("org/model:7b@1") == Path("/c/judges/org%2Fmodel%3A7b%401.jsonl")


def test_a_model_has_variables_of_its_own():
    settings = read_settings("m", {"OPENAI_API_KEY": "k", "HERMES_MODEL_TIMEOUT": "7", "HERMES_JUDGE_RPM": "9"}, MODEL)
    assert (settings.timeout, settings.concurrency, settings.requests_a_minute) == (7.0, 32, None)


def test_the_address_may_come_from_the_environment():
    assert read_settings("m", {"OPENAI_BASE_URL": "http://node7:8000/v1"}).address == "http://node7:8000/v1"
    assert read_settings("m", {"OPENAI_API_KEY": "k"}).host == "api.openai.com"


def test_numbers_come_from_the_environment():
    numbers = {"HERMES_JUDGE_CONCURRENCY": "3", "HERMES_JUDGE_RPM": "90", "HERMES_JUDGE_PRICE": "2.5, 10"}
    settings = read_settings("m", {"OPENAI_API_KEY": "k"} | numbers)
    assert (settings.concurrency, settings.requests_a_minute, settings.price) == (3, 90.0, (2.5, 10.0))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost", "[::1]:8000", "10.1.2.3", "gpu3:80", "box.local"])
def test_a_local_address_needs_no_key(address):
    assert read_settings(f"m@http://{address}/v1", {}).address == f"http://{address}/v1"


@pytest.mark.parametrize(
    ("argument", "environment", "says"),
    [
        (None, {}, "openai:MODEL"),
        ("", {}, "openai:MODEL"),
        (" ", {}, "openai:MODEL"),
        ("gpt", {}, "set OPENAI_API_KEY"),
        ("m@http://8.8.8.8/v1", {}, "set OPENAI_API_KEY"),
        ("gpt", {"OPENAI_API_KEY": "clé"}, "OPENAI_API_KEY"),
        ("m@localhost:80/v1", {}, "must begin with http"),
        ("m@http://", {}, "not the address"),
        ("m@http://h:port/v1", {}, "not the address"),
        ("m@http://h:99999/v1", {}, "not the address"),
        ("m@http://h h/v1", {}, "not the address"),
        ("m@http://[::1/v1", {}, "not the address"),
        ("m", {"OPENAI_BASE_URL": "host/v1"}, "not the address"),
        ("m@http://user:secret@h/v1", {}, "OPENAI_API_KEY"),
        ("m@http://h/v1?key=secret", {}, "OPENAI_API_KEY"),
        ("m@http://h", {"HERMES_JUDGE_CONCURRENCY": "0"}, "HERMES_JUDGE_CONCURRENCY"),
        ("m@http://h", {"HERMES_JUDGE_CONCURRENCY": "2.5"}, "whole number"),
        ("m@http://h", {"HERMES_JUDGE_RPM": "fast"}, "HERMES_JUDGE_RPM"),
        ("m@http://h", {"HERMES_JUDGE_RPM": "inf"}, "HERMES_JUDGE_RPM"),
        ("m@http://h", {"HERMES_JUDGE_PRICE": "3"}, "IN,OUT"),
        ("m@http://h", {"HERMES_JUDGE_PRICE": "nan,1"}, "IN,OUT"),
    ],
)
def test_what_makes_no_sense_is_one_line(argument, environment, says):
    with pytest.raises(HermesError, match=says) as error:
        read_settings(argument, environment)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)
