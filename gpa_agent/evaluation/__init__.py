"""Is it better? What serving rubrics did, from what the ledger recorded."""

from __future__ import annotations

from gpa_agent.evaluation.audit import Audit, audit

__all__ = ["Audit", "audit"]
