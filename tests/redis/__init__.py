"""The redis floor: behaviour on a real server, in both worlds."""
