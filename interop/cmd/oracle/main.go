// Command oracle answers over HTTP what the Go libraries do, so that tests can
// compare: each handler lives in a file of its own and registers itself.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // an image from scratch has no zone files
)

// handle registers a JSON endpoint: the request body is decoded into a new In,
// the returned value is encoded; an error becomes status 500 with its text.
func handle[In any](path string, f func(in In) (any, error)) {
	http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		var in In
		decoder := json.NewDecoder(r.Body)
		decoder.UseNumber()
		if err := decoder.Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := f(in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(out); err != nil {
			log.Printf("encode: %v", err)
		}
	})
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	// The first line on stdout tells a test where we are, and that we are ready.
	fmt.Printf("{\"event\":\"ready\",\"listen\":%q}\n", listener.Addr().String())
	go func() { log.Fatal(http.Serve(listener, nil)) }()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
}
