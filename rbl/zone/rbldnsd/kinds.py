"""The types of datasets that a zone can be made of."""

from enum import StrEnum


class Kind(StrEnum):
    """The types of datasets."""

    IP4SET = "ip4set"  # ranges of IPv4 addresses
    IP4TSET = "ip4tset"  # single IPv4 addresses, one value
    IP4TRIE = "ip4trie"  # IPv4 networks
    IP6TSET = "ip6tset"  # IPv6 subnets, one value
    IP6TRIE = "ip6trie"  # IPv6 networks
    DNSET = "dnset"  # names
    DNHASH = "dnhash"  # names, as the fork has them
    COMBINED = "combined"  # several of the others in one file, also for sub-zones
    GENERIC = "generic"  # ordinary records
    ACL = "acl"  # who may ask, by address
    ACLKEY = "aclkey"  # who may ask, by a key in the question

    @property
    def of_clients(self) -> bool:
        """Whether it is about who asks, and lists nothing itself."""
        return self in {Kind.ACL, Kind.ACLKEY}
