"""Statistics of what was read: estimates and their intervals, differences, ranks, tuning. Modules here need numpy."""
