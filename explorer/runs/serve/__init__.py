"""The server's side of trainings and measurements. It holds no torch."""
