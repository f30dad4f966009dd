package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/internal/pgserver"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// revocationLimit is within what an acknowledged revocation reaches a waiting follower.
const revocationLimit = time.Second

// TestARevocationReachesTheOtherReplica of a Postgres database, where somebody waits for it.
func TestARevocationReachesTheOtherReplica(t *testing.T) {
	const rounds = 20
	database := pgtest.Start(t, pgserver.Config{})
	d := newDeployment(t, database.URL("postgres"))
	d.serve(t)
	other := d.replica(t)
	other.serve(t)
	here, there := d.client(t, true), other.client(t, true)
	var took []time.Duration
	sequence := follow(t, there, 0, 0).sequence
	for range rounds {
		serial, err := here.sign(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		answer := make(chan followed, 1)
		go func() { answer <- follow(t, there, sequence, 20*time.Second) }()
		time.Sleep(50 * time.Millisecond) // so that it waits, as followers do
		begun := time.Now()
		revokeOver(t, here, serial)
		acknowledged := time.Since(begun)
		got := <-answer
		sequence = got.sequence
		if !slices.Equal(got.serials, []string{serial}) {
			t.Fatalf("the other replica tells of %v, want %s", got.serials, serial)
		}
		if late := got.at.Sub(begun); late > acknowledged+revocationLimit {
			t.Errorf("it came after %s", late)
		}
		took = append(took, got.at.Sub(begun))
	}
	slices.Sort(took)
	t.Logf("from the request to the answer at the other replica: median %s, longest %s of %d", took[rounds/2], took[rounds-1], rounds)
}

// followed is what a poll was told, and when.
type followed struct {
	sequence uint64
	serials  []string
	at       time.Time
}

// follow asks what was revoked after a sequence.
func follow(t *testing.T, c *restClient, after uint64, wait time.Duration) followed {
	t.Helper()
	url := fmt.Sprintf("%s/v1/trust?after=1&revocations_after=%d&wait=%s", c.url, after, wait)
	var answer struct {
		Revocations struct {
			Sequence uint64   `json:"sequence"`
			Serials  []string `json:"serials"`
		} `json:"revocations"`
	}
	exchangeJSON(t, c, http.MethodGet, url, "", &answer)
	return followed{answer.Revocations.Sequence, answer.Revocations.Serials, time.Now()}
}

// revokeOver revokes a certificate.
func revokeOver(t *testing.T, c *restClient, serial string) {
	t.Helper()
	exchangeJSON(t, c, http.MethodPost, c.url+"/v1/certificates/"+serial+"/revoke", `{"reason":"superseded"}`, &struct{}{})
}

func exchangeJSON(t *testing.T, c *restClient, method, url, body string, answer any) {
	t.Helper()
	exchangeFor(t, c, http.StatusOK, jsonRequest{method, url, body}, answer)
}

// jsonRequest is a request, with an empty body for none.
type jsonRequest struct{ method, url, body string }

// exchangeFor reports an answer with another status than is wanted.
func exchangeFor(t *testing.T, c *restClient, status int, r jsonRequest, answer any) {
	t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		t.Error(err)
		return
	}
	if r.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status {
		t.Errorf("%s %s is answered %d, %v: %s", r.method, r.url, response.StatusCode, err, data)
		return
	}
	if err := json.Unmarshal(data, answer); err != nil {
		t.Errorf("%s %s is answered %s", r.method, r.url, data)
	}
}
