"""What jobs ask a cluster's queue for, what it allows, and the cards that it has."""
