package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxFinding is the most that is told of one failure, in octets: the answer is for anybody who
// reaches the metrics door, and the log has the rest.
const maxFinding = 300

// finding is what a check has found.
type finding struct {
	OK    bool      `json:"ok"`
	Since time.Time `json:"since,omitzero"`  // from when on it has been so
	Error string    `json:"error,omitempty"` // why it is not
	Note  string    `json:"note,omitempty"`  // what is wrong all the same, although it is
}

// caveat is the error of a check that has passed, with something to be said.
type caveat string

// Error implements error.
func (c caveat) Error() string { return string(c) }

// check is something that must be so for a replica to be of use. It runs on a clock of its own, so
// that those who ask, however many, cost nothing and wait for nothing.
type check struct {
	name  string
	do    func(ctx context.Context, now time.Time) error
	every time.Duration
	limit time.Duration // a run that takes longer has failed

	mu    sync.Mutex // owns what follows
	began time.Time  // of the run that goes on; zero: none does
	found finding
}

// run runs the check once, and returns when it has ended, or ctx has. A run that hangs is told of
// once its limit has passed, and there is no second one beside it.
func (c *check) run(ctx context.Context) {
	now := time.Now()
	c.mu.Lock()
	c.began = now
	c.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	done := make(chan error, 1) // nobody waits for one that hangs when the server stops
	go func() { done <- c.do(limited, now) }()
	select {
	case <-ctx.Done():
	case err := <-done:
		if ctx.Err() == nil { // what failed after that says nothing
			c.note(err, time.Now())
		}
	}
}

// note takes what a run has found.
func (c *check) note(err error, now time.Time) {
	next := finding{OK: err == nil, Since: now.UTC()}
	var warning caveat
	switch {
	case errors.As(err, &warning):
		next.OK, next.Note = true, short(warning.Error())
	case err != nil:
		next.Error = short(flat{err}.Error())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	hung := now.After(c.began.Add(c.limit)) && !c.began.IsZero()
	c.began = time.Time{}
	if next.OK == c.found.OK && !c.found.Since.IsZero() && !hung {
		next.Since = c.found.Since
	}
	c.found = next
}

// finding is what there is to say at now.
func (c *check) finding(now time.Time) finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	overdue := c.began.Add(c.limit)
	switch {
	case !c.began.IsZero() && now.After(overdue):
		late := finding{Since: overdue.UTC(), Error: fmt.Sprintf("no answer since %s", c.began.UTC().Format(time.RFC3339))}
		if !c.found.OK && !c.found.Since.IsZero() {
			late.Since = c.found.Since
		}
		return late
	case c.found.Since.IsZero():
		return finding{Since: now.UTC(), Error: "not checked yet"}
	}
	return c.found
}

// follow runs the check again and again until ctx ends.
func (c *check) follow(ctx context.Context) {
	ticker := time.NewTicker(c.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.run(ctx)
		}
	}
}

// short is a text of ours or a driver's as it fits into an answer.
func short(text string) string {
	text = printable(text)
	if len(text) > maxFinding {
		return text[:maxFinding] + "…"
	}
	return text
}
