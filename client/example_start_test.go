package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

func ExampleStart() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	config := ca.Config("spiffe://example.org/web")

	// At once, whether or not Pando is there.
	source, err := client.Start(config)
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	// The server starts too, say to answer the probes of an orchestrator. Its handshakes fail
	// until there is an identity.
	probe := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if source.Status().Expired(time.Now()) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	<-source.Ready()
	answer := httptest.NewRecorder()
	probe.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/ready", nil))
	fmt.Println(source.ID(), answer.Code)
	// Output: spiffe://example.org/web 200
}

func ExampleSource_Wait() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	ca.Down()
	source, err := client.Start(ca.Config("spiffe://example.org/web"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err = source.Wait(ctx)
	fmt.Println(errors.Is(err, client.ErrNotReady), errors.Is(err, context.DeadlineExceeded))
	// Output: true true
}

func ExampleConfig_cacheDir() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	config := ca.Config("spiffe://example.org/web")
	parent, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	config.CacheDir = filepath.Join(parent, "pando") // one for each identity

	first, err := client.Open(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	first.Close()
	ca.Down() // Pando is away, and the join token is used

	second, err := client.Open(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close()
	fmt.Println(second.ID(), second.Status().Serial == first.Status().Serial)
	// Output: spiffe://example.org/web true
}

func ExampleConfig_notify() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	config := ca.Config("spiffe://example.org/web")
	config.Notify = func(e client.Event) {
		switch e.Kind {
		case client.EventRenewed:
			fmt.Println("renewed:", e.Status.ID)
		case client.EventFailed:
			fmt.Println("failed:", e.Err)
		}
	}
	source, err := client.Open(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	source.Close() // waits for Notify
	// Output: renewed: spiffe://example.org/web
}

func ExampleSource_DebugHandler() {
	ca := clienttest.Start(clienttest.Options{})
	defer ca.Close()
	config := ca.Config("spiffe://example.org/web")
	source, err := client.Open(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	// On a listener that only operators reach, such as a loopback address.
	mux := http.NewServeMux()
	mux.Handle("/debug/pando", source.DebugHandler())

	page := httptest.NewRecorder()
	mux.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/debug/pando?format=json", nil))
	var shown struct {
		Usable string `json:"usable"`
		ID     string `json:"spiffe_id"`
	}
	if err := json.Unmarshal(page.Body.Bytes(), &shown); err != nil {
		log.Fatal(err)
	}
	fmt.Println(shown.ID, shown.Usable)
	// Output: spiffe://example.org/web yes
}
