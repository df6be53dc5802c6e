import pytest

from support.scripted_api import scripted
from tidegate.errors import KubeError
from tidegate.kube.config import connected
from tidegate.kube.trouble import Trouble
from tidegate.telemetry.events import Event
from tidegate.telemetry.logs import log_to_sink


@pytest.fixture
def told() -> list[Event]:
    """What operators read."""
    events: list[Event] = []
    log_to_sink(events.append)
    return events


async def test_single_failure_is_no_news(told: list[Event]) -> None:
    """What works at the second try is not worth a line."""
    async with scripted() as api, connected(kubeconfig=api.kubeconfig) as client:
        trouble = Trouble(client, "doing x")
        trouble.failed(KubeError("no"))
        trouble.over()
        trouble.failed(KubeError("no"))
        trouble.over()
    assert told == []


async def test_lasting_failure_is_told_once_with_its_end(told: list[Event]) -> None:
    """One line says what fails and why, another one that it works again."""
    async with scripted() as api, connected(kubeconfig=api.kubeconfig) as client:
        trouble = Trouble(client, "doing x")
        for number in range(5):
            trouble.failed(KubeError(f"no {number}"))
        trouble.over()
    assert [(one.level, one.details["activity"]) for one in told] == [("warning", "doing x"), ("info", "doing x")]
    assert told[0].details["problem"] == "no 1"
    assert "after_s" in told[1].details


async def test_server_that_is_away_is_told_by_the_transport_alone(told: list[Event]) -> None:
    """While nobody gets an answer, every activity fails, and one line says so."""
    async with scripted() as api:
        kubeconfig = api.kubeconfig.rename(api.kubeconfig.with_suffix(".kept"))
        kubeconfig.write_text(kubeconfig.read_text().replace(api.url, "http://127.0.0.1:1"))
        async with connected(kubeconfig=kubeconfig) as client:
            trouble = Trouble(client, "doing x")
            for _ in range(3):
                with pytest.raises(KubeError) as caught:
                    await client.get("/x")
                trouble.failed(caught.value)
            trouble.over()
    assert [one.message for one in told] == ["the API server does not answer; what is known stays in force"]
