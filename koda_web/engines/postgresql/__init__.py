"""PostgreSQL as Django speaks to it, without each request finding out anew that it is away."""
