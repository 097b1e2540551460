"""What the paper claims, as conditions on cells, and whether it holds."""
