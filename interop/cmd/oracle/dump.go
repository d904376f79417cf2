package main

import (
	"context"

	"asynq_py/interop/internal/rediscli"
)

func init() {
	handle("/dump", func(in rediscli.Target) (any, error) {
		client := in.Client()
		defer client.Close()
		return rediscli.Dump(context.Background(), client)
	})
}
