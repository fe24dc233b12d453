"""What a net amounts to before any tensor: specs, names, blueprints, graphs, cards. No torch."""
