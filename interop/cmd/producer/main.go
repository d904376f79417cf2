// Command producer enqueues tasks as a Go service would and prints one JSON
// line for each: its TaskInfo, or {"error","kind"}.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"asynq_py/interop/internal/rediscli"
	"asynq_py/interop/internal/taskjson"

	"github.com/hibiken/asynq"
)

func main() {
	target := rediscli.Flags()
	n := flag.Int("n", 1, "how many tasks")
	kind := flag.String("type", "demo", "task type")
	payload := flag.String("payload", "", "payload; {i} becomes the task's number, from 0")
	var headers map[string]string
	flag.Func("header", "key=value, may be repeated", func(s string) error {
		if headers == nil {
			headers = map[string]string{}
		}
		key, value, _ := strings.Cut(s, "=")
		headers[key] = value
		return nil
	})
	id := flag.String("task-id", "", "task id; {i} as in -payload")
	options := optionFlags()
	flag.Parse()

	client := asynq.NewClient(target.Asynq())
	defer client.Close()
	out := json.NewEncoder(os.Stdout)
	for i := range *n {
		number := strconv.Itoa(i)
		task := taskjson.Task{Type: *kind, Headers: headers, Options: *options}
		if *payload != "" {
			task.Payload = []byte(strings.ReplaceAll(*payload, "{i}", number))
		}
		if *id != "" {
			text := strings.ReplaceAll(*id, "{i}", number)
			task.TaskID = &text
		}
		if err := out.Encode(enqueue(client, task)); err != nil {
			log.Fatal(err)
		}
	}
}

func enqueue(client *asynq.Client, task taskjson.Task) any {
	t, err := task.Asynq()
	if err != nil {
		log.Fatal(err)
	}
	info, err := client.Enqueue(t)
	if err != nil {
		return taskjson.FromError(err)
	}
	return taskjson.FromInfo(info)
}

// optionFlags registers the options; only those that are given are set.
func optionFlags() *taskjson.Options {
	o := &taskjson.Options{}
	text := func(name, usage string, to **string) {
		flag.Func(name, usage, func(s string) error { *to = &s; return nil })
	}
	duration := func(name, usage string, to **int64) {
		flag.Func(name, usage, func(s string) error {
			d, err := time.ParseDuration(s)
			ms := d.Milliseconds()
			*to = &ms
			return err
		})
	}
	text("queue", "queue", &o.Queue)
	text("deadline", "RFC 3339", &o.Deadline)
	text("process-at", "RFC 3339", &o.ProcessAt)
	text("group", "group", &o.Group)
	duration("timeout", "such as 30s", &o.TimeoutMS)
	duration("unique", "lock TTL, such as 1m", &o.UniqueMS)
	duration("process-in", "delay", &o.ProcessInMS)
	duration("retention", "how long the completed task is kept", &o.RetentionMS)
	flag.Func("max-retry", "retries", func(s string) error {
		n, err := strconv.Atoi(s)
		o.MaxRetry = &n
		return err
	})
	return o
}
