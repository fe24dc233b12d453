"""How much each unit changes its input, and which way (Jastrzebski18; He16 §4.2)."""
