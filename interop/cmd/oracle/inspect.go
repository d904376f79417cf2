package main

import (
	"fmt"
	"time"

	"asynq_py/interop/internal/rediscli"
	"asynq_py/interop/internal/taskjson"

	"github.com/hibiken/asynq"
)

type inspectRequest struct {
	rediscli.Target
	Call string      `json:"call"`
	Args inspectArgs `json:"args"`
}

type inspectArgs struct {
	Queue   string `json:"queue"`
	ID      string `json:"id"` // of a task, or of a scheduler's entry
	Group   string `json:"group"`
	State   string `json:"state"`
	Page    *int   `json:"page"`
	Size    *int   `json:"size"`
	Days    int    `json:"days"`
	Force   bool   `json:"force"`
	Payload []byte `json:"payload"`
}

func (a inspectArgs) paging() []asynq.ListOption {
	var out []asynq.ListOption
	if a.Page != nil {
		out = append(out, asynq.Page(*a.Page))
	}
	if a.Size != nil {
		out = append(out, asynq.PageSize(*a.Size))
	}
	return out
}

type inspectCall func(*asynq.Inspector, inspectArgs) (any, error)

func init() {
	handle("/inspect", func(in inspectRequest) (any, error) {
		call, ok := inspectCalls[in.Call]
		if !ok {
			return nil, fmt.Errorf("no call %q", in.Call)
		}
		inspector := asynq.NewInspector(in.Target.Asynq())
		defer inspector.Close()
		return call(inspector, in.Args)
	})
}

// inspectCalls answers with what the Inspector's method of that name returns;
// one that returns only an error is answered with null.
var inspectCalls = map[string]inspectCall{
	"queues": func(i *asynq.Inspector, a inspectArgs) (any, error) { return i.Queues() },
	"queue_info": func(i *asynq.Inspector, a inspectArgs) (any, error) {
		return queueInfo(i.GetQueueInfo(a.Queue))
	},
	"history": func(i *asynq.Inspector, a inspectArgs) (any, error) {
		days, err := i.History(a.Queue, a.Days)
		out := []map[string]any{}
		for _, d := range days {
			out = append(out, map[string]any{
				"queue": d.Queue, "processed": d.Processed, "failed": d.Failed, "date": d.Date,
			})
		}
		return out, err
	},
	"groups": func(i *asynq.Inspector, a inspectArgs) (any, error) {
		groups, err := i.Groups(a.Queue)
		out := []map[string]any{}
		for _, g := range groups {
			out = append(out, map[string]any{"group": g.Group, "size": g.Size})
		}
		return out, err
	},
	"list_tasks": listTasks,
	"get_task": func(i *asynq.Inspector, a inspectArgs) (any, error) {
		info, err := i.GetTaskInfo(a.Queue, a.ID)
		return taskjson.FromInfo(info), err
	},
	"run_task":     silent(func(i *asynq.Inspector, a inspectArgs) error { return i.RunTask(a.Queue, a.ID) }),
	"archive_task": silent(func(i *asynq.Inspector, a inspectArgs) error { return i.ArchiveTask(a.Queue, a.ID) }),
	"delete_task":  silent(func(i *asynq.Inspector, a inspectArgs) error { return i.DeleteTask(a.Queue, a.ID) }),
	"update_payload": silent(func(i *asynq.Inspector, a inspectArgs) error {
		return i.UpdateTaskPayload(a.Queue, a.ID, a.Payload)
	}),
	"cancel_task":   silent(func(i *asynq.Inspector, a inspectArgs) error { return i.CancelProcessing(a.ID) }),
	"pause_queue":   silent(func(i *asynq.Inspector, a inspectArgs) error { return i.PauseQueue(a.Queue) }),
	"unpause_queue": silent(func(i *asynq.Inspector, a inspectArgs) error { return i.UnpauseQueue(a.Queue) }),
	"delete_queue":  silent(func(i *asynq.Inspector, a inspectArgs) error { return i.DeleteQueue(a.Queue, a.Force) }),
	"run_all":       runAll,
	"archive_all":   archiveAll,
	"delete_all":    deleteAll,
	"servers": func(i *asynq.Inspector, a inspectArgs) (any, error) {
		servers, err := i.Servers()
		out := []map[string]any{}
		for _, s := range servers {
			out = append(out, server(s))
		}
		return out, err
	},
	"scheduler_entries": schedulerEntries,
	"scheduler_events": func(i *asynq.Inspector, a inspectArgs) (any, error) {
		events, err := i.ListSchedulerEnqueueEvents(a.ID, a.paging()...)
		out := []map[string]any{}
		for _, e := range events {
			out = append(out, map[string]any{"task_id": e.TaskID, "enqueued_at": e.EnqueuedAt.UTC()})
		}
		return out, err
	},
	"cluster_keyslot": func(i *asynq.Inspector, a inspectArgs) (any, error) { return i.ClusterKeySlot(a.Queue) },
}

func silent(f func(*asynq.Inspector, inspectArgs) error) inspectCall {
	return func(i *asynq.Inspector, a inspectArgs) (any, error) { return nil, f(i, a) }
}

func queueInfo(q *asynq.QueueInfo, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"queue": q.Queue, "memory_usage": q.MemoryUsage, "latency_ms": q.Latency.Milliseconds(),
		"size": q.Size, "groups": q.Groups, "pending": q.Pending, "active": q.Active,
		"scheduled": q.Scheduled, "retry": q.Retry, "archived": q.Archived,
		"completed": q.Completed, "aggregating": q.Aggregating, "processed": q.Processed,
		"failed": q.Failed, "processed_total": q.ProcessedTotal, "failed_total": q.FailedTotal,
		"paused": q.Paused, "timestamp": q.Timestamp.UTC(),
	}, nil
}

func server(s *asynq.ServerInfo) map[string]any {
	workers := []map[string]any{}
	for _, w := range s.ActiveWorkers {
		workers = append(workers, map[string]any{
			"task_id": w.TaskID, "type": w.TaskType, "payload": w.TaskPayload, "queue": w.Queue,
			"started": w.Started.UTC(), "deadline": w.Deadline.UTC(),
		})
	}
	return map[string]any{
		"id": s.ID, "host": s.Host, "pid": s.PID, "concurrency": s.Concurrency,
		"queues": s.Queues, "strict_priority": s.StrictPriority, "started": s.Started.UTC(),
		"status": s.Status, "active_workers": workers,
	}
}

// schedulerEntries gives the options as strings, as asynq's CLI shows them; the
// Inspector leaves out what it cannot parse.
func schedulerEntries(i *asynq.Inspector, _ inspectArgs) (any, error) {
	entries, err := i.SchedulerEntries()
	out := []map[string]any{}
	for _, e := range entries {
		opts := []string{}
		for _, o := range e.Opts {
			opts = append(opts, o.String())
		}
		out = append(out, map[string]any{
			"id": e.ID, "spec": e.Spec, "type": e.Task.Type(), "payload": e.Task.Payload(),
			"opts": opts, "next": stored(e.Next), "prev": stored(e.Prev),
		})
	}
	return out, err
}

// stored is null for "never", which is Go's zero time on the wire.
func stored(t time.Time) *time.Time { return taskjson.Moment(t) }
