"""DNS: packets in, answers out, and the follower that keeps the index up to the journal."""
