"""What gradient methods share: the loop, the run folder, views and warps, addressed randomness."""
