package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"asynq_py/interop/internal/rediscli"

	"github.com/hibiken/asynq"
)

// serve handles tasks until it is killed. BENCH_HANDLER says how: "nothing",
// "note" or "wait", with notes in BENCH_NOTES; see
// scripts/benchmarks/drivers/workers/work.py.
func serve(target *rediscli.Target, concurrency int) error {
	handler, err := newHandler(os.Getenv("BENCH_HANDLER"))
	if err != nil {
		return err
	}
	config := asynq.Config{Concurrency: concurrency, LogLevel: asynq.ErrorLevel}
	return asynq.NewServer(target.Asynq(), config).Run(handler)
}

func newHandler(kind string) (asynq.HandlerFunc, error) {
	if kind == "nothing" {
		return func(context.Context, *asynq.Task) error { return nil }, nil
	}
	notes, err := os.OpenFile(os.Getenv("BENCH_NOTES"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	note := func(_ context.Context, task *asynq.Task) error {
		now := time.Now().UnixNano()
		var told payload
		if err := json.Unmarshal(task.Payload(), &told); err != nil {
			return err
		}
		late := binary.LittleEndian.AppendUint64(nil, uint64(now-int64(told.UserID)))
		_, err := notes.Write(late)
		return err
	}
	switch kind {
	case "note":
		return note, nil
	case "wait":
		return func(ctx context.Context, task *asynq.Task) error {
			if err := note(ctx, task); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}, nil
	}
	return nil, fmt.Errorf("no handler %q", kind)
}
