package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// topLines writes what happens to a deployment for a log: a line whenever what it says has changed,
// and one for each new audit row. Each line begins with a time and what it is about, and goes on
// with name=value; values with spaces are quoted, so that nothing can make a line of its own.
type topLines struct {
	out io.Writer

	last string // the summary that was written last
	seq  int64  // of the last audit row that was written
	away time.Time
}

// take writes what is new in an answer.
func (l *topLines) take(o *overviewJSON, now time.Time) error {
	if !l.away.IsZero() {
		if err := l.write(o.At, "back", "after", now.Sub(l.away).Round(time.Second).String()); err != nil {
			return err
		}
		l.away = time.Time{}
	}
	if err := l.audit(o.Audit); err != nil {
		return err
	}
	summary := o.summary()
	if text := fieldsText(summary); text != l.last {
		l.last = text
		return l.write(o.At, "state", summary...)
	}
	return nil
}

// audit writes the rows that are newer than those of the answer before, the oldest first. What was
// done before the first answer is in the audit.
func (l *topLines) audit(rows []auditJSON) error {
	for _, a := range slices.Backward(rows) {
		known := l.last == "" || a.Seq <= l.seq
		l.seq = max(l.seq, a.Seq)
		if known {
			continue
		}
		err := l.write(a.At, "audit", "seq", strconv.FormatInt(a.Seq, 10), "action", a.Action, "target", a.Target, "actor", a.Actor, "detail", detailText(a.Detail))
		if err != nil {
			return err
		}
	}
	return nil
}

// fail writes that there is no answer, once.
func (l *topLines) fail(err error, now time.Time) error {
	if !l.away.IsZero() {
		return nil
	}
	l.away = now
	return l.write(now, "away", "error", err.Error())
}

func (l *topLines) write(at time.Time, what string, fields ...string) error {
	_, err := fmt.Fprintf(l.out, "%s %s%s\n", at.UTC().Format(time.RFC3339), what, fieldsText(fields))
	return err
}

// summary is what matters of an overview, as names and values.
func (o *overviewJSON) summary() []string {
	sum := o.identities()
	fields := []string{"generation", strconv.FormatUint(o.Generation, 10), "bundle", strconv.FormatUint(o.Sequence, 10), "issuer", o.Issuer}
	for _, r := range o.Roles {
		fields = append(fields, r.Role, r.Phase)
	}
	for i := range o.Authorities {
		if a := &o.Authorities[i]; a.Followers > 0 {
			fields = append(fields, "acknowledged", fmt.Sprintf("%d/%d", a.Followers-a.Behind, a.Followers))
		}
	}
	if !o.CountedAt.IsZero() {
		for _, f := range []struct {
			name string
			n    int32
		}{
			{"certificates", o.Live}, {"issued_1m", o.Recent}, {"live", sum.Live}, {"overdue", sum.Overdue}, {"expired", sum.Expired}, {"revoked", sum.Revoked},
		} {
			fields = append(fields, f.name, strconv.Itoa(int(f.n)))
		}
	}
	for _, i := range o.Incidents {
		fields = append(fields, "incident", i.ID)
		if i.Left != nil {
			fields = append(fields, "left", fmt.Sprintf("%d/%d", *i.Left, i.Total))
		}
	}
	for _, v := range o.Overrides {
		fields = append(fields, "override", v.ID)
	}
	for _, j := range o.Failing {
		fields = append(fields, "failing", j.Name)
	}
	return fields
}

// fieldsText writes names and values, those that are there.
func fieldsText(fields []string) string {
	var b strings.Builder
	for i := 0; i+1 < len(fields); i += 2 {
		value := fields[i+1]
		if value == "" {
			continue
		}
		if printable(value) != value || strings.ContainsAny(value, " \"=") {
			value = strconv.Quote(value)
		}
		b.WriteString(" " + fields[i] + "=" + value)
	}
	return b.String()
}

// topJSON writes each answer as one line of JSON, and failures to the other stream.
type topJSON struct{ io stdio }

func (j topJSON) take(o *overviewJSON, _ time.Time) error {
	encoder := json.NewEncoder(j.io.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(o)
}

func (j topJSON) fail(err error, _ time.Time) error {
	_, err = fmt.Fprintf(j.io.err, "pando: %s\n", printable(err.Error()))
	return err
}
