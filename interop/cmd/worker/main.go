// Command worker runs a plain asynq server and tells on stdout, one JSON line
// each, what it consumes. The task's type chooses what happens:
//
//	fail:*      the handler returns an error
//	flaky:*     it returns an error the first time
//	error:*     it returns an error with the payload as its text
//	excuse:*    it returns an error that does not count as a failure
//	skip:*      it returns asynq.SkipRetry
//	revoke:*    it returns asynq.RevokeTask
//	panic:*     it panics
//	sleep:*     it sleeps for the payload's number of milliseconds
//	result:*    it writes its payload as the task's result
//	partly:*    it writes its payload as the task's result, and returns an error
//	unhandled:* there is no handler
//
// Every other task succeeds. A group is merged into a task "aggregated:<group>";
// that of a group kept:* has the group's name for its ID, and is retained.
//
// Lines: {"event":"ready"}, then "task" when a handler starts and "done" when it
// returns, "aggregate" for each group that is merged, and "stopped" after a
// graceful shutdown. asynq's log goes to stderr. pyworker.py is its twin.
package main

import (
	"flag"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"asynq_py/interop/internal/rediscli"

	"github.com/hibiken/asynq"
)

func main() {
	target := rediscli.Flags()
	queues := flag.String("queues", "default=1", "name=priority, separated by commas")
	interval := flag.Duration("interval", 100*time.Millisecond, "between looks for pending, for due and for expired tasks")
	retryDelay := flag.Duration("retry-delay", 0, "before a retry; 0 is asynq's own rule")
	groupGrace := flag.Duration("group-grace", 0, "group grace period, at least 1s; aggregation is off unless one -group flag is given")
	groupMaxDelay := flag.Duration("group-max-delay", 0, "longest wait of a group")
	groupMaxSize := flag.Int("group-max-size", 0, "size at which a group is merged")
	config := asynq.Config{}
	flag.IntVar(&config.Concurrency, "concurrency", 10, "handlers at a time")
	flag.BoolVar(&config.StrictPriority, "strict", false, "strict priority of queues")
	flag.DurationVar(&config.ShutdownTimeout, "shutdown-timeout", 8*time.Second, "wait for handlers at shutdown")
	flag.Parse()

	config.Queues = parseQueues(*queues)
	config.TaskCheckInterval = *interval
	config.DelayedTaskCheckInterval = *interval
	config.JanitorInterval = *interval
	config.IsFailure = isFailure
	if *retryDelay > 0 {
		config.RetryDelayFunc = func(int, error, *asynq.Task) time.Duration { return *retryDelay }
	}
	out := newReport(os.Stdout)
	if *groupGrace > 0 || *groupMaxDelay > 0 || *groupMaxSize > 0 {
		config.GroupGracePeriod = *groupGrace
		config.GroupMaxDelay = *groupMaxDelay
		config.GroupMaxSize = *groupMaxSize
		config.GroupAggregator = asynq.GroupAggregatorFunc(out.aggregate)
	}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	server := asynq.NewServer(target.Asynq(), config)
	if err := server.Start(asynq.HandlerFunc(out.handle)); err != nil {
		log.Fatal(err)
	}
	awaitPresence(target)
	out.print(event{"event": "ready"})
	<-signals
	server.Shutdown()
	out.print(event{"event": "stopped"})
}

func parseQueues(text string) map[string]int {
	queues := map[string]int{}
	for _, part := range strings.Split(text, ",") {
		// The last "=", so that a queue's name may contain one.
		cut := strings.LastIndex(part, "=")
		if cut < 0 {
			queues[part] = 1
			continue
		}
		priority, err := strconv.Atoi(part[cut+1:])
		if err != nil {
			log.Fatalf("-queues: %v", err)
		}
		queues[part[:cut]] = priority
	}
	return queues
}
