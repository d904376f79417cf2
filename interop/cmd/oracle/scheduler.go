package main

import (
	"fmt"
	"sync"
	"time"

	"asynq_py/interop/internal/rediscli"
	"asynq_py/interop/internal/taskjson"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
)

// scheduledTask is one Register(spec, task, options...). Its options go to
// Register, not to the task: only those are published.
type scheduledTask struct {
	Spec string `json:"spec"`
	taskjson.Task
}

type schedulerRequest struct {
	rediscli.Target
	Entries     []scheduledTask `json:"entries"`
	Location    string          `json:"location"` // a zone's name; UTC if empty
	HeartbeatMS int64           `json:"heartbeat_ms"`
	RunMS       int64           `json:"run_ms"` // 0: run until /scheduler/stop
}

// enqueued is one firing: Info or Failure.
type enqueued struct {
	At      time.Time         `json:"at"`
	Info    *taskjson.Info    `json:"info"`
	Failure *taskjson.Failure `json:"failure"`
}

type runningScheduler struct {
	scheduler *asynq.Scheduler
	mu        sync.Mutex
	report    schedulerReport
}

type schedulerReport struct {
	ID       string     `json:"id"`
	EntryIDs []string   `json:"entry_ids"` // in the order of the request
	Enqueued []enqueued `json:"enqueued"`
}

var running sync.Map // id -> *runningScheduler

func init() {
	// Starts a scheduler. With run_ms it answers when that one is shut down,
	// else at once; its id is for /scheduler/stop. Shutting down clears what a
	// scheduler has published, so look at Redis before.
	handle("/scheduler", func(in schedulerRequest) (any, error) {
		r, err := startScheduler(in)
		if err != nil {
			return nil, err
		}
		if in.RunMS > 0 {
			time.Sleep(time.Duration(in.RunMS) * time.Millisecond)
			return r.stop(), nil
		}
		running.Store(r.report.ID, r)
		return r.snapshot(), nil
	})
	handle("/scheduler/report", func(in struct{ ID string }) (any, error) {
		r, ok := running.Load(in.ID)
		if !ok {
			return nil, fmt.Errorf("no scheduler %q", in.ID)
		}
		return r.(*runningScheduler).snapshot(), nil
	})
	handle("/scheduler/stop", func(in struct{ ID string }) (any, error) {
		r, ok := running.LoadAndDelete(in.ID)
		if !ok {
			return nil, fmt.Errorf("no scheduler %q", in.ID)
		}
		return r.(*runningScheduler).stop(), nil
	})
}

func startScheduler(in schedulerRequest) (*runningScheduler, error) {
	location, err := time.LoadLocation(in.Location)
	if err != nil {
		return nil, err
	}
	r := &runningScheduler{report: schedulerReport{ID: uuid.NewString(), Enqueued: []enqueued{}}}
	r.scheduler = asynq.NewScheduler(in.Target.Asynq(), &asynq.SchedulerOpts{
		Location:          location,
		HeartbeatInterval: time.Duration(in.HeartbeatMS) * time.Millisecond,
		PostEnqueueFunc:   r.record,
	})
	for _, entry := range in.Entries {
		bare := entry.Task
		bare.Options = taskjson.Options{}
		task, err := bare.Asynq()
		if err != nil {
			return nil, err
		}
		opts, err := entry.Options.Asynq()
		if err != nil {
			return nil, err
		}
		id, err := r.scheduler.Register(entry.Spec, task, opts...)
		if err != nil {
			return nil, err
		}
		r.report.EntryIDs = append(r.report.EntryIDs, id)
	}
	return r, r.scheduler.Start()
}

func (r *runningScheduler) record(info *asynq.TaskInfo, err error) {
	e := enqueued{At: time.Now().UTC(), Info: taskjson.FromInfo(info)}
	if err != nil {
		failure := taskjson.FromError(err)
		e.Failure = &failure
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Enqueued = append(r.report.Enqueued, e)
}

func (r *runningScheduler) snapshot() schedulerReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.report
	report.Enqueued = append([]enqueued{}, r.report.Enqueued...)
	return report
}

func (r *runningScheduler) stop() schedulerReport {
	r.scheduler.Shutdown()
	return r.snapshot()
}
