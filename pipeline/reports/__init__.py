"""From results to reports: built once, judged, and written in every format."""
