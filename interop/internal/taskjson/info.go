package taskjson

import (
	"errors"
	"time"

	"github.com/hibiken/asynq"
)

// Info is asynq.TaskInfo in JSON. A time that is not set is null.
type Info struct {
	ID            string            `json:"id"`
	Queue         string            `json:"queue"`
	Type          string            `json:"type"`
	Payload       []byte            `json:"payload"`
	Headers       map[string]string `json:"headers"`
	State         string            `json:"state"`
	MaxRetry      int               `json:"max_retry"`
	Retried       int               `json:"retried"`
	LastError     string            `json:"last_error"`
	LastFailedAt  *time.Time        `json:"last_failed_at"`
	TimeoutMS     int64             `json:"timeout_ms"`
	Deadline      *time.Time        `json:"deadline"`
	Group         string            `json:"group"`
	NextProcessAt *time.Time        `json:"next_process_at"`
	IsOrphaned    bool              `json:"is_orphaned"`
	RetentionMS   int64             `json:"retention_ms"`
	CompletedAt   *time.Time        `json:"completed_at"`
	Result        []byte            `json:"result"`
}

// FromInfo converts; nil stays nil.
func FromInfo(i *asynq.TaskInfo) *Info {
	if i == nil {
		return nil
	}
	return &Info{
		ID: i.ID, Queue: i.Queue, Type: i.Type, Payload: i.Payload, Headers: i.Headers,
		State: i.State.String(), MaxRetry: i.MaxRetry, Retried: i.Retried,
		LastError: i.LastErr, LastFailedAt: Moment(i.LastFailedAt),
		TimeoutMS: i.Timeout.Milliseconds(), Deadline: Moment(i.Deadline), Group: i.Group,
		NextProcessAt: Moment(i.NextProcessAt), IsOrphaned: i.IsOrphaned,
		RetentionMS: i.Retention.Milliseconds(), CompletedAt: Moment(i.CompletedAt),
		Result: i.Result,
	}
}

// FromInfos converts a list.
func FromInfos(infos []*asynq.TaskInfo) []*Info {
	out := make([]*Info, 0, len(infos))
	for _, info := range infos {
		out = append(out, FromInfo(info))
	}
	return out
}

// Moment gives UTC, or nil for Go's zero time.
func Moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Failure is an enqueue that was refused.
type Failure struct {
	Error string `json:"error"`
	Kind  string `json:"kind"` // duplicate, id_conflict or other
}

// FromError tells the refusals apart as a Go producer would.
func FromError(err error) Failure {
	kind := "other"
	switch {
	case errors.Is(err, asynq.ErrDuplicateTask):
		kind = "duplicate"
	case errors.Is(err, asynq.ErrTaskIDConflict):
		kind = "id_conflict"
	}
	return Failure{Error: err.Error(), Kind: kind}
}
