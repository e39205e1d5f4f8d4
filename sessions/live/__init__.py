"""Live: the server process, its sockets, and the hub that feeds them."""
