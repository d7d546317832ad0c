"""SLURM: jobs submitted through submitit, and watched with squeue. All that is known of SLURM is here."""
