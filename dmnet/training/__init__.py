"""Training by iterations: schedule, resume state, history, and the loop that joins them."""
