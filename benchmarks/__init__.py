"""What the product does in a second, beside the limits of the machine and the neighbours of the field."""
