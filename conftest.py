"""Where nothing may be skipped (`MEDBOT_NO_SKIP=1`), a skipped test fails the run."""

import os

import pytest

import medbot  # noqa: F401 - before pytest takes the folder of this name for the package

NOTHING_SKIPPED = bool(os.environ.get("MEDBOT_NO_SKIP"))


def _skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", ())) if reporter is not None else 0


def pytest_sessionfinish(session: pytest.Session) -> None:
    if NOTHING_SKIPPED and _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if NOTHING_SKIPPED and (count := _skipped(config)):
        terminalreporter.section("MEDBOT_NO_SKIP")
        terminalreporter.line(f"{count} skipped: what they want must be installed here", red=True)
