"""What people ask about a tree: plan, status, lineage, verification, what is not needed."""
