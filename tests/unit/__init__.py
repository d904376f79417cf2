"""The unit floor: no socket; mirrors asynq_py."""
