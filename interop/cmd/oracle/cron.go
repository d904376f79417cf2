package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
	_ "time/tzdata" // the container has no time zone files

	"github.com/robfig/cron/v3"
)

const (
	// cronQueryLimit is how long one query may take: robfig's search never ends
	// around some local days that do not exist.
	cronQueryLimit = 2 * time.Second
	// cronChild, in the environment, makes this program answer queries on stdin.
	// A search that never ends can only be stopped together with its process.
	cronChild = "ORACLE_CRON_CHILD"
)

type cronQuery struct {
	Spec string `json:"spec"`
	Zone string `json:"zone"` // of the scheduler
	From string `json:"from"` // RFC 3339
	N    int    `json:"n"`    // how many times to answer, at most
}

type cronAnswer struct {
	Next    []string `json:"next,omitempty"` // RFC 3339 in UTC, or "zero" for never, then last
	Error   string   `json:"error,omitempty"`
	Panic   string   `json:"panic,omitempty"`
	Timeout bool     `json:"timeout,omitempty"`
}

func init() {
	if os.Getenv(cronChild) != "" {
		answerCronQueries(os.Stdin, os.Stdout)
		os.Exit(0)
	}
	handle("/cron", func(queries []cronQuery) (any, error) {
		answers := make([]cronAnswer, 0, len(queries))
		for len(answers) < len(queries) {
			more, err := askCronChild(queries[len(answers):])
			if err != nil {
				return nil, err
			}
			answers = append(answers, more...)
		}
		return answers, nil
	})
	handle("/cron/changes", offsetChanges)
}

type changesQuery struct {
	Zone     string `json:"zone"`
	From, To int64  // Unix seconds
}

// offsetChanges lists the offset of a zone at From and its changes up to To,
// as pairs of Unix seconds and offset; null for a zone that is not known.
func offsetChanges(queries []changesQuery) (any, error) {
	answers := make([][][2]int64, len(queries))
	for i, query := range queries {
		zone, err := time.LoadLocation(query.Zone)
		if err != nil {
			continue
		}
		at := time.Unix(query.From, 0).In(zone)
		for {
			_, offset := at.Zone()
			last := len(answers[i]) - 1
			if last < 0 || answers[i][last][1] != int64(offset) {
				answers[i] = append(answers[i], [2]int64{at.Unix(), int64(offset)})
			}
			_, end := at.ZoneBounds()
			if end.IsZero() || end.Unix() > query.To {
				break
			}
			if !end.After(at) { // on the last day of a leap year, far in the future
				end = at.Add(time.Hour)
			}
			at = end
		}
	}
	return answers, nil
}

// askCronChild returns the answers to the first queries, up to all of them or
// to the first that takes too long.
func askCronChild(queries []cronQuery) ([]cronAnswer, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.Command(program)
	child.Env = append(os.Environ(), cronChild+"=1")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, err
	}
	defer child.Wait()
	defer child.Process.Kill()
	go func() {
		defer in.Close()
		encoder := json.NewEncoder(in)
		for _, query := range queries {
			if encoder.Encode(query) != nil {
				return // killed
			}
		}
	}()

	// The first answer may also wait for the program to start.
	late := time.AfterFunc(cronQueryLimit+5*time.Second, func() { child.Process.Kill() })
	defer late.Stop()
	decoder := json.NewDecoder(out)
	var answers []cronAnswer
	for len(answers) < len(queries) {
		var answer cronAnswer
		if err := decoder.Decode(&answer); err != nil {
			if late.Stop() {
				return nil, fmt.Errorf("cron child: %w", err)
			}
			return append(answers, cronAnswer{Timeout: true}), nil
		}
		answers = append(answers, answer)
		late.Reset(cronQueryLimit)
	}
	return answers, nil
}

func answerCronQueries(in io.Reader, out io.Writer) {
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var query cronQuery
		if decoder.Decode(&query) != nil || encoder.Encode(query.answer()) != nil {
			return
		}
	}
}

// answer does what asynq's scheduler does: cron.New(cron.WithLocation(zone)),
// which asks Next with the time in that zone.
func (q cronQuery) answer() (answer cronAnswer) {
	defer func() {
		if p := recover(); p != nil {
			answer = cronAnswer{Panic: fmt.Sprint(p)}
		}
	}()
	zone, err := time.LoadLocation(q.Zone)
	if err != nil {
		return cronAnswer{Error: err.Error()}
	}
	at, err := time.Parse(time.RFC3339Nano, q.From)
	if err != nil {
		return cronAnswer{Error: err.Error()}
	}
	schedule, err := cron.ParseStandard(q.Spec)
	if err != nil {
		return cronAnswer{Error: err.Error()}
	}
	at = at.In(zone)
	for range q.N {
		at = schedule.Next(at)
		if at.IsZero() {
			answer.Next = append(answer.Next, "zero")
			break
		}
		// In UTC, as RFC 3339 has no place for the seconds of an old zone's offset.
		answer.Next = append(answer.Next, at.UTC().Format(time.RFC3339Nano))
	}
	return answer
}
