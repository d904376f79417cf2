// Package taskjson is the JSON form of tasks, options and task information
// that the interop programs take and print.
package taskjson

import (
	"fmt"
	"time"

	"github.com/hibiken/asynq"
)

// Options holds every option of asynq; an absent one is not given to asynq.
type Options struct {
	Queue       *string `json:"queue,omitempty"`
	TaskID      *string `json:"task_id,omitempty"`
	MaxRetry    *int    `json:"max_retry,omitempty"`
	TimeoutMS   *int64  `json:"timeout_ms,omitempty"`
	Deadline    *string `json:"deadline,omitempty"` // RFC 3339
	UniqueMS    *int64  `json:"unique_ms,omitempty"`
	ProcessAt   *string `json:"process_at,omitempty"` // RFC 3339
	ProcessInMS *int64  `json:"process_in_ms,omitempty"`
	RetentionMS *int64  `json:"retention_ms,omitempty"`
	Group       *string `json:"group,omitempty"`
}

// Asynq returns the options in the order of the struct's fields.
func (o Options) Asynq() ([]asynq.Option, error) {
	var out []asynq.Option
	text := func(v *string, f func(string) asynq.Option) {
		if v != nil {
			out = append(out, f(*v))
		}
	}
	duration := func(v *int64, f func(time.Duration) asynq.Option) {
		if v != nil {
			out = append(out, f(time.Duration(*v)*time.Millisecond))
		}
	}
	var bad error
	moment := func(name string, v *string, f func(time.Time) asynq.Option) {
		if v == nil {
			return
		}
		t, err := time.Parse(time.RFC3339Nano, *v)
		if err != nil {
			bad = fmt.Errorf("%s: %w", name, err)
			return
		}
		out = append(out, f(t))
	}
	text(o.Queue, asynq.Queue)
	text(o.TaskID, asynq.TaskID)
	if o.MaxRetry != nil {
		out = append(out, asynq.MaxRetry(*o.MaxRetry))
	}
	duration(o.TimeoutMS, asynq.Timeout)
	moment("deadline", o.Deadline, asynq.Deadline)
	duration(o.UniqueMS, asynq.Unique)
	moment("process_at", o.ProcessAt, asynq.ProcessAt)
	duration(o.ProcessInMS, asynq.ProcessIn)
	duration(o.RetentionMS, asynq.Retention)
	text(o.Group, asynq.Group)
	return out, bad
}

// Task is what to enqueue: options beside it are the task's own defaults.
type Task struct {
	Type    string            `json:"type"`
	Payload []byte            `json:"payload"` // base64; null is nil, "" is empty
	Headers map[string]string `json:"headers"`
	Options
}

// Asynq makes the task; one without headers by NewTask.
func (t Task) Asynq() (*asynq.Task, error) {
	opts, err := t.Options.Asynq()
	if err != nil {
		return nil, err
	}
	if t.Headers == nil {
		return asynq.NewTask(t.Type, t.Payload, opts...), nil
	}
	return asynq.NewTaskWithHeaders(t.Type, t.Payload, t.Headers, opts...), nil
}
