package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

const workQueue = "work"

// processedTasks runs a server over a few tasks: their messages afterwards, and
// what the server publishes about itself while one is being worked on.
func (p *program) processedTasks() {
	client := asynq.NewClient(p.conn)
	defer client.Close()
	release := make(chan struct{})
	server := asynq.NewServer(p.conn, asynq.Config{
		Concurrency: 4, Queues: map[string]int{workQueue: 3}, StrictPriority: true,
		TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.ErrorLevel,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Hour },
	})
	check(server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		switch task.Type() {
		case "fail":
			return errors.New("boom: ü")
		case "skip":
			return fmt.Errorf("no use: %w", asynq.SkipRetry)
		case "wait":
			<-release
		}
		return nil
	})))
	enqueue := func(kind string, payload []byte, opts ...asynq.Option) {
		opts = append(opts, asynq.Queue(workQueue), asynq.TaskID(kind))
		must(client.Enqueue(asynq.NewTask(kind, payload, opts...)))
	}
	enqueue("fail", []byte("x"))
	enqueue("skip", nil)
	enqueue("keep", nil, asynq.Retention(time.Hour))
	enqueue("wait", []byte("payload"), asynq.Timeout(time.Hour))
	p.settled("fail", asynq.TaskStateRetry, "error_msg", "boom: ü")
	p.settled("skip", asynq.TaskStateArchived, "error_msg", "no use: skip retry for the task")
	p.settled("keep", asynq.TaskStateCompleted, "retention", 3600)
	p.presence()
	close(release)
	server.Shutdown()
}

// settled waits until the task of that name is in a state and keeps its message.
func (p *program) settled(name string, state asynq.TaskState, field string, value any) {
	var info *asynq.TaskInfo
	await(name, func() bool {
		info = must(p.inspector.GetTaskInfo(workQueue, name))
		return info.State == state
	})
	want := message(name)
	want["type"], want["queue"], want["payload"] = name, workQueue, info.Payload
	want[field] = value
	want["retried"] = info.Retried
	if !info.LastFailedAt.IsZero() {
		want["last_failed_at"] = info.LastFailedAt.Unix()
	}
	if !info.CompletedAt.IsZero() {
		want["completed_at"] = info.CompletedAt.Unix()
	}
	p.add("task-"+state.String(), "TaskMessage", want, p.stored(workQueue, name))
}

// presence reads ServerInfo and WorkerInfo once a worker is published.
func (p *program) presence() {
	var info, worker []byte
	var server *asynq.ServerInfo
	await("a published worker", func() bool {
		keys := must(p.redis.ZRange(p.ctx, "asynq:servers", 0, -1).Result())
		if len(keys) != 1 {
			return false
		}
		info = must(p.redis.Get(p.ctx, keys[0]).Bytes())
		workers := strings.Replace(keys[0], "servers", "workers", 1)
		worker = []byte(p.redis.HGet(p.ctx, workers, "wait").Val())
		servers := must(p.inspector.Servers())
		if len(worker) == 0 || len(servers) != 1 || len(servers[0].ActiveWorkers) != 1 {
			return false
		}
		server = servers[0]
		return bytes.Equal(info, must(p.redis.Get(p.ctx, keys[0]).Bytes()))
	})
	host := must(os.Hostname())
	p.add("server", "ServerInfo", fields{
		"host": host, "pid": os.Getpid(), "server_id": server.ID, "concurrency": 4,
		"queues": map[string]int{workQueue: 3}, "strict_priority": true, "status": "active",
		"start_time": timestamp(server.Started), "active_worker_count": 1,
	}, info)
	active := server.ActiveWorkers[0]
	p.add("worker", "WorkerInfo", fields{
		"host": host, "pid": os.Getpid(), "server_id": server.ID, "task_id": "wait",
		"task_type": "wait", "task_payload": []byte("payload"), "queue": workQueue,
		"start_time": timestamp(active.Started), "deadline": timestamp(active.Deadline),
	}, worker)
}
