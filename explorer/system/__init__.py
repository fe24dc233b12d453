"""Files, folders, memory and processes of the machine, with limits and in one sentence."""
