package main

import (
	"slices"
	"time"

	"github.com/hibiken/asynq"
)

// scheduler runs one with an entry that fires and one that never does here.
func (p *program) scheduler() {
	scheduler := asynq.NewScheduler(p.conn, &asynq.SchedulerOpts{
		HeartbeatInterval: time.Second, LogLevel: asynq.ErrorLevel,
	})
	defer scheduler.Shutdown()
	payload := []byte(`{"report":"ü"}`)
	deadline := time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)
	opts := []asynq.Option{
		asynq.Queue("a \"b\""), asynq.MaxRetry(3), asynq.Timeout(90 * time.Second),
		asynq.Deadline(deadline), asynq.Unique(36 * time.Hour), asynq.ProcessIn(1500 * time.Millisecond),
		asynq.Retention(24 * time.Hour), asynq.Group("g"),
	}
	fires := must(scheduler.Register("@every 1s", asynq.NewTask("tick", nil)))
	rests := must(scheduler.Register("CRON_TZ=Europe/Berlin 0 9 1 jan *", asynq.NewTask("yearly", payload), opts...))
	check(scheduler.Start())

	var stored []string
	var entries []*asynq.SchedulerEntry
	await("entries that have fired", func() bool {
		keys := must(p.redis.ZRange(p.ctx, "asynq:schedulers", 0, -1).Result())
		if len(keys) != 1 {
			return false
		}
		stored = must(p.redis.LRange(p.ctx, keys[0], 0, -1).Result())
		entries = must(p.inspector.SchedulerEntries())
		fired := slices.ContainsFunc(entries, func(e *asynq.SchedulerEntry) bool { return !e.Prev.IsZero() })
		return fired && slices.Equal(stored, must(p.redis.LRange(p.ctx, keys[0], 0, -1).Result()))
	})
	texts := map[string][]string{fires: {}, rests: {}}
	for _, o := range opts {
		texts[rests] = append(texts[rests], o.String())
	}
	names := map[string]string{fires: "scheduler-entry-fired", rests: "scheduler-entry-never-fired"}
	for i, e := range entries {
		p.add(names[e.ID], "SchedulerEntry", fields{
			"id": e.ID, "spec": e.Spec, "task_type": e.Task.Type(), "task_payload": e.Task.Payload(),
			"enqueue_options":   texts[e.ID],
			"next_enqueue_time": timestamp(e.Next), "prev_enqueue_time": timestamp(e.Prev),
		}, []byte(stored[i]))
	}
	p.events(fires)
}

func (p *program) events(entry string) {
	var events []*asynq.SchedulerEnqueueEvent
	await("an enqueue event", func() bool {
		events = must(p.inspector.ListSchedulerEnqueueEvents(entry))
		return len(events) > 0
	})
	first := events[len(events)-1]
	stored := must(p.redis.ZRange(p.ctx, "asynq:scheduler_history:"+entry, 0, 0).Result())
	p.add("scheduler-enqueue-event", "SchedulerEnqueueEvent", fields{
		"task_id": first.TaskID, "enqueue_time": timestamp(first.EnqueuedAt),
	}, []byte(stored[0]))
}
