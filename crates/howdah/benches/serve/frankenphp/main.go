// FrankenPHP's library behind Go's HTTP server, without Caddy, for the benchmark: ADDRESS WORKERS ROOT WORKER-SCRIPT.
package main

import (
	"log"
	"net/http"
	"os"
	"strconv"

	"github.com/dunglas/frankenphp"
)

func main() {
	address, root, script := os.Args[1], os.Args[3], os.Args[4]
	workers, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	// One thread more than workers is the least that it starts with.
	err = frankenphp.Init(frankenphp.WithNumThreads(workers+1), frankenphp.WithWorkers("bench", script, workers))
	if err != nil {
		log.Fatal(err)
	}
	handler := func(response http.ResponseWriter, request *http.Request) {
		served, err := frankenphp.NewRequestWithContext(request,
			frankenphp.WithRequestResolvedDocumentRoot(root), frankenphp.WithWorkerName("bench"))
		if err == nil {
			err = frankenphp.ServeHTTP(response, served)
		}
		if err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
		}
	}
	log.Fatal(http.ListenAndServe(address, http.HandlerFunc(handler)))
}
