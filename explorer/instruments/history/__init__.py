"""What a training recorded of each layer: layer × step."""
