"""How jobs live, run and end."""
