"""What to forward: the intermediate representation between the decision and the data planes."""
