"""DVC's files read without it, what it would follow checked, and its command line."""
