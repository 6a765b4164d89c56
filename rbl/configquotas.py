"""The settings of what one nominator's key may bring about: ``[quotas]``."""

from pydantic import Field

from rbl.configvalues import Section


class KeyQuota(Section):
    """How much one key may bring about."""

    nominations: int = Field(default=500, ge=0, le=1_000_000_000)
    """Nominations within a day."""
    networks: int = Field(default=200, ge=0, le=1_000_000_000)
    """Networks (IPv4 /24, IPv6 /64) whose hosts are tested within a day for its nominations."""
    waiting: int = Field(default=100, ge=0, le=1_000_000_000)
    """Tests that wait to begin."""


class TrustedQuota(KeyQuota):
    """How much the key of a trusted nominator may bring about."""

    nominations: int = Field(default=5000, ge=0, le=1_000_000_000)
    """Nominations within a day."""
    networks: int = Field(default=2000, ge=0, le=1_000_000_000)
    """Networks (IPv4 /24, IPv6 /64) whose hosts are tested within a day for its nominations."""
    waiting: int = Field(default=1000, ge=0, le=1_000_000_000)
    """Tests that wait to begin."""


class NormalQuota(KeyQuota):
    """How much the key of a nominator of normal trust may bring about."""


class TrialQuota(KeyQuota):
    """How much the key of a nominator on trial may bring about; an operator looks before a test."""

    nominations: int = Field(default=50, ge=0, le=1_000_000_000)
    """Nominations within a day."""
    networks: int = Field(default=50, ge=0, le=1_000_000_000)
    """Networks (IPv4 /24, IPv6 /64) whose hosts are tested within a day for its nominations."""
    waiting: int = Field(default=50, ge=0, le=1_000_000_000)
    """Tests that wait to begin."""


class KeyQuotas(Section):
    """What one nominator's key may bring about, by trust; `rbl key limit` changes it for a key."""

    alarm_share: float = Field(default=0.8, gt=0, le=1)
    """At this share of a quota, and at the whole, the log has an alarm."""
    trusted: TrustedQuota = TrustedQuota()
    normal: NormalQuota = NormalQuota()
    trial: TrialQuota = TrialQuota()
