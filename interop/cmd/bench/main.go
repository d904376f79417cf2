// Command bench enqueues tasks as fast as asynq's Client can, has asynq's
// Scheduler do it on time, or has asynq's Inspector look at them. With
// -concurrency it is a server instead, see serve. Otherwise it takes
// commands on stdin, one JSON object a line, so that neither its start nor the
// connecting is measured:
//
//	{"mode": "sequential", "n": 5000}
//	{"mode": "goroutines", "goroutines": 50, "n": 20000}
//	{"mode": "register", "n": 1000, "specs": ["@every 8s"]}
//	{"mode": "start"}
//	{"mode": "stop"}
//	{"mode": "list", "queue": "q", "state": "pending", "page": 1, "size": 1000, "times": 10}
//	{"mode": "info", "queue": "q", "times": 10}
//	{"mode": "delete_all", "queue": "q", "state": "scheduled"}
//
// It begins with a line {"ready", "versions"} and answers each command with a
// line {"seconds", "cpu_seconds"} or {"error"}. It ends with its input.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"asynq_py/interop/internal/rediscli"

	"github.com/hibiken/asynq"
)

type command struct {
	Mode       string   `json:"mode"`
	N          int      `json:"n"`
	Goroutines int      `json:"goroutines"`
	Specs      []string `json:"specs"`
	Queue      string   `json:"queue"`
	State      string   `json:"state"`
	Page       int      `json:"page"`
	Size       int      `json:"size"`
	Times      int      `json:"times"`
}

type ready struct {
	Ready    bool              `json:"ready"`
	Versions map[string]string `json:"versions"`
}

type cost struct {
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"` // user and system, of the whole process
}

type failure struct {
	Error string `json:"error"`
}

type payload struct {
	UserID   int    `json:"user_id"`
	Email    string `json:"email"`
	Template string `json:"template"`
}

func main() {
	target := rediscli.Flags()
	concurrency := flag.Int("concurrency", 0, "handle so many tasks at a time, and take no commands")
	flag.Parse()
	if *concurrency > 0 {
		if err := serve(target, *concurrency); err != nil {
			log.Fatal(err)
		}
		return
	}
	client := asynq.NewClient(target.Asynq())
	defer client.Close()
	if err := client.Ping(); err != nil {
		log.Fatal(err)
	}
	inspector := asynq.NewInspector(target.Asynq())
	defer inspector.Close()
	scheduler := &scheduling{target: target}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	send(out, ready{true, versions()})
	for {
		var c command
		err := in.Decode(&c)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		result, err := measure(client, scheduler, inspector, c)
		if err != nil {
			send(out, failure{err.Error()})
		} else {
			send(out, result)
		}
	}
}

func send(out *json.Encoder, line any) {
	if err := out.Encode(line); err != nil {
		log.Fatal(err)
	}
}

func measure(client *asynq.Client, scheduler *scheduling, inspector *asynq.Inspector, c command) (cost, error) {
	start, cpu := time.Now(), cpuSeconds()
	var err error
	switch c.Mode {
	case "sequential":
		err = sequential(client, c.N)
	case "goroutines":
		err = concurrent(client, c.N, c.Goroutines)
	case "register":
		err = scheduler.register(c.N, c.Specs)
	case "start":
		err = scheduler.start()
	case "stop":
		err = scheduler.stop()
	case "list":
		err = list(inspector, c)
	case "info":
		err = info(inspector, c)
	case "delete_all":
		err = deleteAll(inspector, c)
	default:
		err = fmt.Errorf("no mode %q", c.Mode)
	}
	return cost{time.Since(start).Seconds(), cpuSeconds() - cpu}, err
}

func sequential(client *asynq.Client, n int) error {
	for i := range n {
		if err := enqueue(client, i); err != nil {
			return err
		}
	}
	return nil
}

// concurrent shares n tasks among goroutines, each taking the next when it is
// done with one.
func concurrent(client *asynq.Client, n, goroutines int) error {
	var next atomic.Int64
	errs := make([]error, goroutines)
	var group sync.WaitGroup
	for g := range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if errs[g] = enqueue(client, i); errs[g] != nil {
					return
				}
			}
		}()
	}
	group.Wait()
	return errors.Join(errs...)
}

func enqueue(client *asynq.Client, i int) error {
	encoded, err := json.Marshal(payload{i, "user@example.com", "welcome"})
	if err != nil {
		return err
	}
	_, err = client.Enqueue(asynq.NewTask("email:welcome", encoded))
	return err
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func versions() map[string]string {
	found := map[string]string{"Go": strings.TrimPrefix(runtime.Version(), "go")}
	names := map[string]string{
		"github.com/hibiken/asynq":     "asynq",
		"github.com/redis/go-redis/v9": "go-redis",
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if name := names[module.Path]; name != "" {
				found[name] = strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return found
}
