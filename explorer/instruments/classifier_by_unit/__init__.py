"""The classifier after every unit of the last stage (Jastrzebski18)."""
