package main

import (
	"context"
	"log"
	"os"
	"time"

	"asynq_py/interop/internal/rediscli"

	"github.com/hibiken/asynq"
)

// awaitPresence returns when this server stands in the list of servers and
// cancellations are listened for: Start itself returns before it has spoken to
// Redis at all.
func awaitPresence(target *rediscli.Target) {
	host, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	inspector := asynq.NewInspector(target.Asynq())
	defer inspector.Close()
	client := target.Client()
	defer client.Close()
	for {
		servers, err := inspector.Servers()
		for _, s := range servers {
			if err == nil && s.Host == host && s.PID == os.Getpid() {
				listeners, err := client.PubSubNumSub(context.Background(), "asynq:cancel").Result()
				if err == nil && listeners["asynq:cancel"] > 0 {
					return
				}
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}
