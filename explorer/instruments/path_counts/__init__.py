"""How many paths a net has, and how long they are (Veit16 Fig 6a)."""
