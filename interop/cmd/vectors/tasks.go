package main

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// message has the fields of a TaskMessage with asynq's defaults.
func message(name string) map[string]any {
	return map[string]any{
		"type": "t", "payload": []byte(nil), "id": name, "queue": "default", "retry": 25,
		"retried": 0, "error_msg": "", "timeout": 1800, "deadline": 0, "unique_key": "",
		"last_failed_at": 0, "retention": 0, "completed_at": 0, "group_key": "",
		"headers": map[string]string{},
	}
}

func uniqueKey(queue, kind string, payload []byte) string {
	key := fmt.Sprintf("asynq:{%s}:unique:%s:", queue, kind)
	if payload == nil {
		return key
	}
	sum := md5.Sum(payload)
	return key + hex.EncodeToString(sum[:])
}

type fields = map[string]any

type taskCase struct {
	name   string
	task   *asynq.Task
	fields fields // what differs from message(name)
}

func allBytes() []byte {
	out := make([]byte, 256)
	for i := range out {
		out[i] = byte(i)
	}
	return out
}

func taskCases() []taskCase {
	deadline := time.Unix(4102444800, 0) // 2100-01-01
	object := []byte(`{"a":1}`)
	long := []byte(strings.Repeat("0123456789abcdef", 20))
	task := asynq.NewTask
	return []taskCase{
		{"payload-nil", task("t", nil), fields{}},
		{"payload-empty", task("t", []byte{}), fields{"payload": []byte{}}},
		{"payload-json", task("email:send", object), fields{"type": "email:send", "payload": object}},
		{"payload-binary", task("t", allBytes()), fields{"payload": allBytes()}},
		{"payload-long", task("t", long), fields{"payload": long}},
		{"headers-empty-map", asynq.NewTaskWithHeaders("t", nil, map[string]string{}), fields{}},
		{"headers-one", asynq.NewTaskWithHeaders("t", object, map[string]string{"trace-id": "abc"}),
			fields{"payload": object, "headers": map[string]string{"trace-id": "abc"}}},
		{"headers-empty-key", asynq.NewTaskWithHeaders("t", nil, map[string]string{"": ""}),
			fields{"headers": map[string]string{"": ""}}},
		{"headers-empty-value", asynq.NewTaskWithHeaders("t", nil, map[string]string{"k": ""}),
			fields{"headers": map[string]string{"k": ""}}},
		{"headers-unicode", asynq.NewTaskWithHeaders("t", nil, map[string]string{"schlüssel": "値\x00\n"}),
			fields{"headers": map[string]string{"schlüssel": "値\x00\n"}}},
		{"headers-three", asynq.NewTaskWithHeaders("t", nil, map[string]string{"b": "2", "a": "1", "c": "3"}),
			fields{"headers": map[string]string{"a": "1", "b": "2", "c": "3"}}},
		{"type-unicode", task("größe:✓ 𝄞", nil), fields{"type": "größe:✓ 𝄞"}},
		{"queue-unicode", task("t", nil, asynq.Queue("очередь ✓")), fields{"queue": "очередь ✓"}},
		{"queue-upper-case", task("t", nil, asynq.Queue(" Mixed Case ")), fields{"queue": " Mixed Case "}},
		{"max-retry-zero", task("t", nil, asynq.MaxRetry(0)), fields{"retry": 0}},
		{"max-retry-negative", task("t", nil, asynq.MaxRetry(-3)), fields{"retry": 0}},
		{"max-retry-largest", task("t", nil, asynq.MaxRetry(math.MaxInt32)), fields{"retry": math.MaxInt32}},
		{"timeout", task("t", nil, asynq.Timeout(90*time.Second)), fields{"timeout": 90}},
		{"timeout-zero", task("t", nil, asynq.Timeout(0)), fields{"timeout": 1800}},
		{"timeout-below-a-second", task("t", nil, asynq.Timeout(500*time.Millisecond)), fields{"timeout": 0}},
		{"timeout-fraction", task("t", nil, asynq.Timeout(1999*time.Millisecond)), fields{"timeout": 1}},
		{"timeout-negative", task("t", nil, asynq.Timeout(-5*time.Second)), fields{"timeout": -5}},
		{"deadline", task("t", nil, asynq.Deadline(deadline)), fields{"timeout": 0, "deadline": deadline.Unix()}},
		{"deadline-fraction", task("t", nil, asynq.Deadline(deadline.Add(999*time.Millisecond))),
			fields{"timeout": 0, "deadline": deadline.Unix()}},
		{"deadline-before-1970", task("t", nil, asynq.Deadline(time.Unix(-1, 0))),
			fields{"timeout": 0, "deadline": -1}},
		{"deadline-epoch", task("t", nil, asynq.Deadline(time.Unix(0, 0))), fields{}},
		{"deadline-and-timeout", task("t", nil, asynq.Deadline(deadline), asynq.Timeout(time.Minute)),
			fields{"timeout": 60, "deadline": deadline.Unix()}},
		{"unique", task("u", object, asynq.Unique(time.Hour)),
			fields{"type": "u", "payload": object, "unique_key": uniqueKey("default", "u", object)}},
		{"unique-nil-payload", task("u", nil, asynq.Unique(time.Hour)),
			fields{"type": "u", "unique_key": uniqueKey("default", "u", nil)}},
		{"unique-empty-payload", task("u", []byte{}, asynq.Unique(time.Hour)),
			fields{"type": "u", "payload": []byte{}, "unique_key": uniqueKey("default", "u", []byte{})}},
		{"retention", task("t", nil, asynq.Retention(24*time.Hour)), fields{"retention": 86400}},
		{"group", task("t", nil, asynq.Group("invoices:ü")), fields{"group_key": "invoices:ü"}},
		{"group-unique", task("gu", nil, asynq.Group("g"), asynq.Unique(time.Hour)),
			fields{"type": "gu", "group_key": "g", "unique_key": uniqueKey("default", "gu", nil)}},
		{"group-scheduled", task("t", nil, asynq.Group("g"), asynq.ProcessIn(time.Hour)), fields{"group_key": "g"}},
		{"scheduled", task("t", nil, asynq.ProcessIn(time.Hour)), fields{}},
		{"scheduled-unique", task("su", nil, asynq.ProcessIn(time.Hour), asynq.Unique(time.Hour)),
			fields{"type": "su", "unique_key": uniqueKey("default", "su", nil)}},
		{"everything", asynq.NewTaskWithHeaders("report:daily", object, map[string]string{"k": "v"},
			asynq.Queue("critical"), asynq.MaxRetry(7), asynq.Timeout(45*time.Second),
			asynq.Deadline(deadline), asynq.Unique(time.Hour), asynq.Retention(2*time.Hour),
			asynq.Group("g1"), asynq.ProcessIn(time.Hour)),
			fields{"type": "report:daily", "payload": object, "headers": map[string]string{"k": "v"},
				"queue": "critical", "retry": 7, "timeout": 45, "deadline": deadline.Unix(),
				"unique_key": uniqueKey("critical", "report:daily", object), "retention": 7200,
				"group_key": "g1"}},
	}
}

// stored reads a task's message as Redis has it.
func (p *program) stored(queue, id string) []byte {
	key := fmt.Sprintf("asynq:{%s}:t:%s", queue, id)
	return must(p.redis.HGet(p.ctx, key, "msg").Bytes())
}

func (p *program) enqueuedTasks() {
	client := asynq.NewClient(p.conn)
	defer client.Close()
	for _, c := range taskCases() {
		info := must(client.Enqueue(c.task, asynq.TaskID(c.name)))
		want := message(c.name)
		for field, value := range c.fields {
			want[field] = value
		}
		p.add(c.name, "TaskMessage", want, p.stored(info.Queue, c.name))
		p.out[len(p.out)-1].Exact = len(c.task.Headers()) < 2
	}
}
