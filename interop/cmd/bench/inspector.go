package main

import (
	"errors"
	"fmt"

	"github.com/hibiken/asynq"
)

// list lists a page so many times.
func list(inspector *asynq.Inspector, c command) error {
	calls := map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		"pending":   inspector.ListPendingTasks,
		"scheduled": inspector.ListScheduledTasks,
	}
	call := calls[c.State]
	if call == nil {
		return fmt.Errorf("no state %q", c.State)
	}
	for range c.Times {
		tasks, err := call(c.Queue, asynq.Page(c.Page), asynq.PageSize(c.Size))
		if err != nil {
			return err
		}
		if len(tasks) != c.Size {
			return fmt.Errorf("a page of %d tasks, not %d", len(tasks), c.Size)
		}
	}
	return nil
}

// info looks at a queue so many times.
func info(inspector *asynq.Inspector, c command) error {
	for range c.Times {
		found, err := inspector.GetQueueInfo(c.Queue)
		if err != nil {
			return err
		}
		if found.Size == 0 {
			return errors.New("the queue is empty")
		}
	}
	return nil
}

// deleteAll deletes all tasks of a state.
func deleteAll(inspector *asynq.Inspector, c command) error {
	if c.State != "scheduled" {
		return fmt.Errorf("no state %q", c.State)
	}
	deleted, err := inspector.DeleteAllScheduledTasks(c.Queue)
	if err == nil && deleted == 0 {
		return errors.New("nothing was deleted")
	}
	return err
}
