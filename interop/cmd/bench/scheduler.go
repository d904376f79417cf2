package main

import (
	"encoding/json"
	"errors"

	"asynq_py/interop/internal/rediscli"

	"github.com/hibiken/asynq"
)

// scheduling is one scheduler after another: each is registered, started and
// stopped.
type scheduling struct {
	target  *rediscli.Target
	current *asynq.Scheduler
}

type tick struct {
	N int `json:"n"`
}

// register makes a scheduler of n entries, which take the specs in turn.
func (s *scheduling) register(n int, specs []string) error {
	if len(specs) == 0 {
		return errors.New("no specs")
	}
	s.current = asynq.NewScheduler(s.target.Asynq(), nil)
	for i := range n {
		encoded, err := json.Marshal(tick{i})
		if err != nil {
			return err
		}
		task := asynq.NewTask("report:daily", encoded)
		if _, err := s.current.Register(specs[i%len(specs)], task); err != nil {
			return err
		}
	}
	return nil
}

func (s *scheduling) start() error {
	if s.current == nil {
		return errors.New("nothing is registered")
	}
	return s.current.Start()
}

func (s *scheduling) stop() error {
	if s.current == nil {
		return errors.New("nothing is registered")
	}
	s.current.Shutdown()
	s.current = nil
	return nil
}
