package main

import (
	"bytes"
	"encoding/json"

	"asynq_py/interop/internal/rediscli"
	"asynq_py/interop/internal/taskjson"

	"github.com/hibiken/asynq"
)

// enqueueRequest is one Client.Enqueue(task, options...).
type enqueueRequest struct {
	rediscli.Target
	Task taskjson.Task `json:"task"`
	taskjson.Options
}

func init() {
	// One operation, answered with its TaskInfo or {error, kind}; or a list of
	// them, performed in order and answered with a list. Each is a new client.
	handle("/enqueue", func(body json.RawMessage) (any, error) {
		if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
			var one enqueueRequest
			if err := json.Unmarshal(body, &one); err != nil {
				return nil, err
			}
			return enqueue(one)
		}
		var many []enqueueRequest
		if err := json.Unmarshal(body, &many); err != nil {
			return nil, err
		}
		out := make([]any, 0, len(many))
		for _, one := range many {
			answer, err := enqueue(one)
			if err != nil {
				return nil, err
			}
			out = append(out, answer)
		}
		return out, nil
	})
}

func enqueue(in enqueueRequest) (any, error) {
	task, err := in.Task.Asynq()
	if err != nil {
		return nil, err
	}
	opts, err := in.Options.Asynq()
	if err != nil {
		return nil, err
	}
	client := asynq.NewClient(in.Target.Asynq())
	defer client.Close()
	info, err := client.Enqueue(task, opts...)
	if err != nil {
		return taskjson.FromError(err), nil
	}
	return taskjson.FromInfo(info), nil
}
