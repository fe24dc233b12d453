"""What instrument workers do for each instrument: one file each, registered in ``runs/jobs.py``."""
