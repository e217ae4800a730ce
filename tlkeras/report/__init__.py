"""Reports: what was found or measured, as pages that need nothing else."""
