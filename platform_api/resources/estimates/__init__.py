"""What runs will ask of models and what that will cost, before they are made."""
