"""What a running system is worth: speed as ratios against a stated floor, quality as served."""
