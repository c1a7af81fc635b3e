"""Approvals of the gates of one process: where they are looked up, whose word counts, who is told."""

from __future__ import annotations

from ostiary.approvals.statement import trustworthy
from ostiary.proxy.approvals.webhook import Webhook
from ostiary.proxy.desk import Desk
from ostiary.store.approvers import Believed
from ostiary.store.asked import Asked
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import StateDir
from ostiary.wiring.webhook import Hook, hook_up, warn_about_approvers


class Asking:
    """What gates need to ask people. Raises CallerFault for a register of approvers that is not sound."""

    def __init__(self, state: StateDir, store: SqliteStore) -> None:
        self.source = Asked(state)
        self._believed = believed = Believed(state)
        self._webhooks: dict[Desk, Webhook] = {}
        store.approvals.trust = lambda standing: trustworthy(standing, believed.keys())

    def begin(self, desk: Desk, hook: Hook | None, grant: str) -> None:
        """Take up what is open, and say so if nobody could answer it. Inside the running loop."""
        webhook = hook_up(hook, desk)
        if webhook is not None:
            self._webhooks[desk] = webhook
        desk.room.load(desk.server, grant, desk.policy.revision if desk.policy else "")
        warn_about_approvers(desk.policy, nobody=self._believed.nobody)

    async def stop(self, desk: Desk) -> None:
        """Tell nobody any more. What is open stays open in the store."""
        desk.room.close()
        webhook = self._webhooks.pop(desk, None)
        if webhook is not None:
            await webhook.close()

    def close(self) -> None:
        """Let go of the store, after the journal."""
        self.source.close()
