// Command vectors has asynq store every kind of message in an empty Redis
// database, reads the bytes back and prints them beside what they mean. The
// meaning comes from this program's own inputs and from asynq's Inspector, never
// from decoding the bytes here.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"log"
	"os"
	"time"

	"asynq_py/interop/internal/rediscli"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// vector is one stored message. Bytes in Fields are base64, times are
// {seconds, nanos}, names are those of the protobuf fields; fields that are zero
// are there all the same.
type vector struct {
	Name    string         `json:"name"`
	Message string         `json:"message"`
	Exact   bool           `json:"exact"` // false: Go's map order varies, compare decoded
	Fields  map[string]any `json:"fields"`
	Hex     string         `json:"hex"`
}

// program carries what each step needs.
type program struct {
	ctx       context.Context
	conn      asynq.RedisClientOpt
	redis     *redis.Client
	inspector *asynq.Inspector
	out       []vector
}

func (p *program) add(name, message string, fields map[string]any, stored []byte) {
	p.out = append(p.out, vector{name, message, true, fields, hex.EncodeToString(stored)})
}

func main() {
	target := rediscli.Flags()
	flag.Parse()
	p := &program{
		ctx: context.Background(), conn: target.Asynq(), redis: target.Client(),
		inspector: asynq.NewInspector(target.Asynq()),
	}
	if n := must(p.redis.DBSize(p.ctx).Result()); n != 0 {
		log.Fatalf("the database is not empty: it has %d keys", n)
	}
	p.enqueuedTasks()
	p.processedTasks()
	p.scheduler()
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	encoder.SetEscapeHTML(false)
	check(encoder.Encode(p.out))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func timestamp(t time.Time) map[string]int64 {
	return map[string]int64{"seconds": t.Unix(), "nanos": int64(t.Nanosecond())}
}

// await looks again until done says so: asynq gives no signal for these.
func await(what string, done func() bool) {
	for end := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(end) {
			log.Fatalf("timeout: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
