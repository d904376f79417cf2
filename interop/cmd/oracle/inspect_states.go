package main

import (
	"fmt"

	"asynq_py/interop/internal/taskjson"

	"github.com/hibiken/asynq"
)

// asynq has a method for each state; these take the state as an argument.

type (
	listMethod = func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error)
	bulkMethod = func(string) (int, error)
)

func noState(call, state string) error { return fmt.Errorf("%s: no state %q", call, state) }

func listTasks(i *asynq.Inspector, a inspectArgs) (any, error) {
	list, ok := map[string]listMethod{
		"active": i.ListActiveTasks, "pending": i.ListPendingTasks,
		"scheduled": i.ListScheduledTasks, "retry": i.ListRetryTasks,
		"archived": i.ListArchivedTasks, "completed": i.ListCompletedTasks,
		"aggregating": func(queue string, opts ...asynq.ListOption) ([]*asynq.TaskInfo, error) {
			return i.ListAggregatingTasks(queue, a.Group, opts...)
		},
	}[a.State]
	if !ok {
		return nil, noState("list_tasks", a.State)
	}
	infos, err := list(a.Queue, a.paging()...)
	return taskjson.FromInfos(infos), err
}

func bulk(call string, a inspectArgs, methods map[string]bulkMethod) (any, error) {
	f, ok := methods[a.State]
	if !ok {
		return nil, noState(call, a.State)
	}
	return f(a.Queue)
}

func runAll(i *asynq.Inspector, a inspectArgs) (any, error) {
	return bulk("run_all", a, map[string]bulkMethod{
		"scheduled": i.RunAllScheduledTasks, "retry": i.RunAllRetryTasks,
		"archived": i.RunAllArchivedTasks,
		"aggregating": func(queue string) (int, error) {
			return i.RunAllAggregatingTasks(queue, a.Group)
		},
	})
}

func archiveAll(i *asynq.Inspector, a inspectArgs) (any, error) {
	return bulk("archive_all", a, map[string]bulkMethod{
		"pending": i.ArchiveAllPendingTasks, "scheduled": i.ArchiveAllScheduledTasks,
		"retry": i.ArchiveAllRetryTasks,
		"aggregating": func(queue string) (int, error) {
			return i.ArchiveAllAggregatingTasks(queue, a.Group)
		},
	})
}

func deleteAll(i *asynq.Inspector, a inspectArgs) (any, error) {
	return bulk("delete_all", a, map[string]bulkMethod{
		"pending": i.DeleteAllPendingTasks, "scheduled": i.DeleteAllScheduledTasks,
		"retry": i.DeleteAllRetryTasks, "archived": i.DeleteAllArchivedTasks,
		"completed": i.DeleteAllCompletedTasks,
		"aggregating": func(queue string) (int, error) {
			return i.DeleteAllAggregatingTasks(queue, a.Group)
		},
	})
}
