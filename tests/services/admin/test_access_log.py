"""What the log tells of requests."""

from structlog.testing import capture_logs

from tests.services.admin.harness import ACCOUNTS, AdminClient

POLL = "/api/v1/auth/revocations"


async def test_polls_of_other_roles_are_left_out_unless_they_are_refused(admin: AdminClient) -> None:
    token = await admin.token(admin.credentials("element"))

    with capture_logs() as logs:
        assert (await admin.request("GET", POLL, token=token)).status == 200
        assert (await admin.send("GET", POLL)).status == 401
        assert (await admin.request("GET", ACCOUNTS)).status == 200

    served = [log for log in logs if log["event"] == "request_served" and log["route"] in (POLL, ACCOUNTS)]
    assert [(log["route"], log["status"], log["log_level"]) for log in served] == [
        (POLL, 200, "debug"),
        (POLL, 401, "info"),
        (ACCOUNTS, 200, "info"),
    ]
