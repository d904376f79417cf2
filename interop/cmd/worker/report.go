package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

type event map[string]any

// report prints events and is the server's handler and aggregator.
type report struct {
	mu  sync.Mutex
	out *json.Encoder
}

func newReport(w io.Writer) *report {
	return &report{out: json.NewEncoder(w)}
}

func (r *report) print(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A failed write means that nobody listens any more: there is no one to tell.
	_ = r.out.Encode(e)
}

func (r *report) handle(ctx context.Context, task *asynq.Task) error {
	at := time.Now().UnixNano()
	id, _ := asynq.GetTaskID(ctx)
	queue, _ := asynq.GetQueueName(ctx)
	retried, _ := asynq.GetRetryCount(ctx)
	maxRetry, _ := asynq.GetMaxRetry(ctx)
	line := event{
		"event": "task", "id": id, "type": task.Type(), "queue": queue,
		"payload": task.Payload(), "headers": task.Headers(),
		"retried": retried, "max_retry": maxRetry, "at": at,
	}
	if deadline, ok := ctx.Deadline(); ok {
		line["deadline"] = deadline.UnixNano()
	}
	if strings.HasPrefix(task.Type(), "aggregated:") {
		line["group_tasks"] = json.RawMessage(task.Payload())
	}
	r.print(line)
	err := errors.New("panic") // what is left when act does not return
	defer func() {
		done := event{"event": "done", "id": id, "type": task.Type(), "queue": queue, "at": time.Now().UnixNano()}
		if err != nil {
			done["error"] = err.Error()
		}
		r.print(done)
	}()
	err = act(ctx, task)
	return err
}

func act(ctx context.Context, task *asynq.Task) error {
	kind, _, _ := strings.Cut(task.Type(), ":")
	switch kind {
	case "fail":
		return errors.New("failed as asked")
	case "flaky":
		if retried, _ := asynq.GetRetryCount(ctx); retried == 0 {
			return errors.New("failed as asked")
		}
	case "error":
		return errors.New(string(task.Payload()))
	case "excuse":
		return errExcused
	case "skip":
		return fmt.Errorf("skipped as asked: %w", asynq.SkipRetry)
	case "revoke":
		return fmt.Errorf("revoked as asked: %w", asynq.RevokeTask)
	case "panic":
		panic("panicked as asked")
	case "sleep":
		ms, err := strconv.Atoi(string(task.Payload()))
		if err != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	case "result":
		_, err := task.ResultWriter().Write(task.Payload())
		return err
	case "partly":
		if _, err := task.ResultWriter().Write(task.Payload()); err != nil {
			return err
		}
		return errors.New("failed as asked")
	case "unhandled":
		return asynq.NotFound(ctx, task)
	}
	return nil
}

var errExcused = errors.New("excused as asked")

func isFailure(err error) bool { return err != nil && !errors.Is(err, errExcused) }

// member is one task of a group in the payload of the merged task. asynq does
// not tell an aggregator the ids.
type member struct {
	Type    string            `json:"type"`
	Payload []byte            `json:"payload"`
	Headers map[string]string `json:"headers"`
}

func (r *report) aggregate(group string, tasks []*asynq.Task) *asynq.Task {
	members := make([]member, 0, len(tasks))
	for _, t := range tasks {
		members = append(members, member{t.Type(), t.Payload(), t.Headers()})
	}
	payload, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	r.print(event{"event": "aggregate", "group": group, "tasks": members, "at": time.Now().UnixNano()})
	if strings.HasPrefix(group, "kept:") {
		return asynq.NewTask("aggregated:"+group, payload, asynq.TaskID(group), asynq.Retention(time.Hour))
	}
	return asynq.NewTask("aggregated:"+group, payload)
}
