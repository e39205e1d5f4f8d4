"""The product one version later: all its migrations, and one more that widens the busiest tables."""
