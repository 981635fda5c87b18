"""Speed, measured as ratios against a stated floor in the same run."""
