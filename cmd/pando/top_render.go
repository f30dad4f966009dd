package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
)

// topWindow is what of the screen is seen.
type topWindow struct {
	width, height int
	down, right   int // how far it is scrolled, in lines and columns
}

const (
	leastTopWidth  = 40
	leastTopHeight = 8
	frameLines     = 3 // two above what is scrolled, one below
)

// renderTop is the screen at now: exactly as many lines as fit, none wider than the window. It is pure.
func renderTop(s *topState, w topWindow, now time.Time) []line {
	if w.width < leastTopWidth || w.height < leastTopHeight {
		text := fmt.Sprintf("%dx%d is too small: %dx%d is needed", w.width, w.height, leastTopWidth, leastTopHeight)
		return []line{line{{text, toneWarn}}.cut(0, w.width)}[:min(1, max(w.height, 0))]
	}
	body := topBody(s, now)
	w = w.within(body)
	lines := []line{topTitle(s, now).cut(0, w.width).padded(w.width), topHealth(s, now).cut(0, w.width)}
	room := w.height - frameLines
	for _, l := range body[w.down:min(len(body), w.down+room)] {
		lines = append(lines, l.cut(w.right, w.width))
	}
	for len(lines) < w.height-1 {
		lines = append(lines, nil)
	}
	return append(lines, topKeys(w, len(body)).cut(0, w.width).padded(w.width))
}

// within is the window after it was scrolled too far.
func (w topWindow) within(body []line) topWindow {
	widest := 0
	for _, l := range body {
		widest = max(widest, l.width())
	}
	w.down = min(max(w.down, 0), max(0, len(body)-(w.height-frameLines)))
	w.right = min(max(w.right, 0), max(0, widest-w.width))
	return w
}

func topTitle(s *topState, now time.Time) line {
	o := s.overview
	if o == nil {
		return line{say(toneFrame, " pando top  "+s.server)}
	}
	return line{say(toneFrame, fmt.Sprintf(" %s  %s  generation %d  bundle %d",
		o.TrustDomain, s.serverNow(now).UTC().Format("2006-01-02 15:04:05Z"), o.Generation, o.Sequence))}
}

// topHealth says whether what is shown is current.
func topHealth(s *topState, now time.Time) line {
	switch {
	case s.overview == nil && s.failure == "":
		return line{{" waiting for the first answer", toneFaint}}
	case s.overview == nil:
		return line{say(toneBad, " no answer yet: "+s.failure)}
	case s.failure != "":
		return line{say(toneBad, fmt.Sprintf(" what is shown is %s old: %s", spanText(s.age(now)), s.failure))}
	case s.stale(now):
		return line{{fmt.Sprintf(" what is shown is %s old: the server does not answer", spanText(s.age(now))), toneBad}}
	}
	leads := ""
	if s.overview.Leader {
		leads = ", which leads the rotation"
	}
	return line{say(toneFaint, fmt.Sprintf(" up to date, every %s from %s%s", s.every, firstOf(s.overview.Replica, s.server), leads))}
}

func topKeys(w topWindow, lines int) line {
	keys := " q quit  r ask now  arrows, PgUp, PgDn scroll"
	if room := w.height - frameLines; lines > room {
		keys += fmt.Sprintf("  lines %d-%d of %d", w.down+1, min(lines, w.down+room), lines)
	}
	return line{{keys, toneFrame}}
}

// topBody is all that there is to tell, whatever fits.
func topBody(s *topState, now time.Time) []line {
	if s.overview == nil {
		return nil
	}
	o, at := s.overview, s.serverNow(now)
	var body []line
	for _, section := range [][]line{
		topTrouble(o), topIncidents(o, at), topOverrides(o, at), topRotation(o, at), topFleet(s, at), topAuthorities(o, at), topAudit(o, at),
	} {
		if len(body) > 0 && len(section) > 0 {
			body = append(body, nil)
		}
		body = append(body, section...)
	}
	return body
}

func heading(text string) line { return line{{text, toneHeading}} }

// topTrouble is what else is wrong.
func topTrouble(o *overviewJSON) []line {
	var lines []line
	for _, j := range o.Failing {
		lines = append(lines, line{say(toneBad, fmt.Sprintf("JOB %s FAILS: %s", j.Name, j.LastError))})
	}
	if o.CountedAt.IsZero() {
		lines = append(lines, line{{"FLEET NOT COUNTED: the counts are missing or too old; see the job figures", toneWarn}})
	}
	return lines
}

func topIncidents(o *overviewJSON, at time.Time) []line {
	if len(o.Incidents) == 0 {
		return nil
	}
	rows := [][]span{headed("INCIDENT", "REPLACED", "", "LEFT", "WANTED", "DEADLINE")}
	for _, i := range o.Incidents {
		replaced, left, bar := fmt.Sprintf("?/%d", i.Total), "?", ""
		if i.Left != nil {
			done := max(i.Total-*i.Left, 0)
			replaced, left = fmt.Sprintf("%d/%d", done, i.Total), strconv.Itoa(int(*i.Left))
			bar = barText(float64(done)/float64(max(i.Total, 1)), barColumns)
		}
		deadline := toneText
		if at.After(i.Deadline) {
			deadline = toneBad
		}
		rows = append(rows, []span{
			say(toneBad, i.ID), say(toneText, replaced), say(toneText, bar), say(toneText, left),
			say(toneText, rateText(i.Rate)+"/s"), say(deadline, relativeText(i.Deadline, at)),
		})
	}
	return append([]line{heading("OPEN INCIDENTS")}, columns(rows...)...)
}

func topOverrides(o *overviewJSON, at time.Time) []line {
	if len(o.Overrides) == 0 {
		return nil
	}
	rows := [][]span{headed("OVERRIDE", "PATTERN", "NAME", "SIDE", "ENDS", "REASON")}
	for _, v := range o.Overrides {
		rows = append(rows, []span{
			say(toneWarn, v.ID), say(toneText, v.Pattern), say(toneText, firstOf(v.Name, "(all)")), say(toneText, v.Side),
			say(toneText, relativeText(v.ExpiresAt, at)), say(toneText, v.Reason),
		})
	}
	return append([]line{heading("PLAINTEXT IS LET IN")}, columns(rows...)...)
}

// barColumns is the width of a bar: five percent a column.
const barColumns = 20

func topRotation(o *overviewJSON, at time.Time) []line {
	if len(o.Roles) == 0 {
		return nil
	}
	rows := [][]span{headed("ROLE", "PHASE", "SINCE", "OVER", "NEXT STEP")}
	for _, r := range o.Roles {
		over := say(toneText, "")
		if !r.EndsAt.IsZero() {
			over = say(lateTone(r.EndsAt, at), relativeText(r.EndsAt, at))
		}
		rows = append(rows, []span{
			say(toneText, r.Role), say(phaseTone(r.Phase), r.Phase), say(toneText, relativeText(r.EnteredAt, at)),
			over, say(lateTone(r.DueAt, at), relativeText(r.DueAt, at)),
		})
	}
	lines := append([]line{heading("ROTATION")}, columns(rows...)...)
	for _, a := range o.Authorities {
		if a.Followers == 0 {
			continue
		}
		acknowledged := a.Followers - a.Behind
		lines = append(lines, line{say(toneText, fmt.Sprintf("  %s acknowledged by %d/%d followers ", a.ID, acknowledged, a.Followers)),
			{barText(float64(acknowledged)/float64(a.Followers), barColumns), toneText}})
	}
	return lines
}

// lateTone is that of a moment by which something should have happened.
func lateTone(t, at time.Time) tone {
	if at.Sub(t) > topGrace {
		return toneBad
	}
	return toneText
}

// topGrace is by how much a step may be late before it is shown as such: the tick that takes it
// comes every ten seconds, and may have to try again.
const topGrace = time.Minute

func phaseTone(phase string) tone {
	switch phase {
	case rotation.PhaseSigning:
		return toneGood
	case rotation.PhaseReplacing:
		return toneBad
	}
	return toneWarn
}

func topFleet(s *topState, at time.Time) []line {
	o := s.overview
	rate := "rate not known yet"
	if perSecond, ok := s.rate(); ok {
		rate = rateText(perSecond) + "/s"
	}
	lines := []line{heading("ISSUANCE"), {say(toneText, fmt.Sprintf("  this replica  %s, %d since it started", rate, o.Issued))}}
	if !o.CountedAt.IsZero() {
		lines = append(lines, line{say(toneText, fmt.Sprintf("  all replicas  %d in a minute, %d certificates live, counted %s",
			o.Recent, o.Live, relativeText(o.CountedAt, at)))})
	}
	if !o.LastBackup.IsZero() {
		lines = append(lines, line{say(toneText, "  last backup   "+relativeText(o.LastBackup, at))})
	}
	if len(o.Profiles) == 0 {
		return lines
	}
	rows := [][]span{headed("PROFILE", "LIVE", "OVERDUE", "EXPIRED", "REVOKED", "FIRST END")}
	for _, p := range o.Profiles {
		first := say(toneText, "")
		if !p.Earliest.IsZero() {
			first = say(toneText, relativeText(p.Earliest, at))
		}
		rows = append(rows, []span{
			say(toneText, p.Profile), countSpan(p.Live, toneText), countSpan(p.Overdue, toneBad), countSpan(p.Expired, toneWarn),
			countSpan(p.Revoked, toneText), first,
		})
	}
	return append(append(lines, nil, heading("IDENTITIES")), columns(rows...)...)
}

// countSpan is a number, in a tone unless it is zero.
func countSpan(n int32, t tone) span {
	if n == 0 {
		t = toneText
	}
	return span{strconv.Itoa(int(n)), t}
}

func topAuthorities(o *overviewJSON, at time.Time) []line {
	rows := [][]span{headed("ROLE", "ID", "STATE", "LEFT", "OF ITS LIFE", "WAITING")}
	for i := range o.Authorities {
		a := &o.Authorities[i]
		left, share := a.NotAfter.Sub(at), 0.0
		if life := a.NotAfter.Sub(a.NotBefore); life > 0 {
			share = min(max(float64(left)/float64(life), 0), 1)
		}
		text, t := spanText(max(left, 0)), toneText
		if left <= 0 {
			text, t = "expired", toneWarn
			if a.State == string(ca.StateActive) {
				t = toneBad
			}
		}
		rows = append(rows, []span{
			say(toneText, a.Role), say(toneText, a.ID), say(stateTone(a.State), a.State), say(t, text),
			{barText(share, barColumns/2) + fmt.Sprintf(" %3.0f%%", share*100), t}, say(toneText, a.Waiting),
		})
	}
	if len(rows) == 1 {
		return nil
	}
	return append([]line{heading("AUTHORITIES")}, columns(rows...)...)
}

func stateTone(state string) tone {
	switch ca.State(state) {
	case ca.StateActive:
		return toneGood
	case ca.StatePrepared, ca.StateRetiring:
		return toneWarn
	case ca.StateTainted:
		return toneBad
	}
	return toneFaint
}

func topAudit(o *overviewJSON, at time.Time) []line {
	if len(o.Audit) == 0 {
		return nil
	}
	rows := [][]span{headed("WHEN", "ACTION", "TARGET", "ACTOR", "DETAIL")}
	for _, a := range o.Audit {
		rows = append(rows, []span{
			say(toneText, relativeText(a.At, at)), say(toneText, a.Action), say(toneText, a.Target),
			say(toneText, a.Actor), say(toneFaint, detailText(a.Detail)),
		})
	}
	return append([]line{heading("LATEST CHANGES")}, columns(rows...)...)
}
