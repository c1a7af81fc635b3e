"""What the gate says of a session that it began anew for a client (`bridge.renewal`)."""

from __future__ import annotations

from ostiary.proxy.bridge.renewal import Renewed
from ostiary.proxy.changes import KINDS, notification, permitted
from ostiary.proxy.desk import Desk


def session_renewed(desk: Desk, grant: str, renewed: Renewed) -> list[bytes]:
    """Leave an event, and return what the client must be told: its lists may be others now.

    Only of those lists whose news the server had promised, and as far as the policy lets them pass.
    """
    reasons = [] if renewed.alike else ["the server declares other capabilities than before"]
    desk.note("session-renewed", f"{renewed.again} sent again", grant=grant, reasons=reasons)
    return [
        notification(kind, None) for kind in KINDS if kind in renewed.news and permitted(desk.policy, kind)
    ]
