// Command dump prints every key of a Redis database as JSON, for people who
// want to see what one side or the other has stored.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"

	"asynq_py/interop/internal/rediscli"
)

func main() {
	target := rediscli.Flags()
	flag.Parse()
	client := target.Client()
	defer client.Close()
	entries, err := rediscli.Dump(context.Background(), client)
	if err != nil {
		log.Fatal(err)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(entries); err != nil {
		log.Fatal(err)
	}
}
