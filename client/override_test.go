package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// emergency is a policy without rules whose override ends then.
func emergency(version, side string, expires time.Time) string {
	return fmt.Sprintf(`{"version":%q,"rules":[],"overrides":[{"id":"ovr_1","name":"","side":%q,"expires_at":%q,"reason":"certificates are late"}]}`,
		version, side, expires.UTC().Format(time.RFC3339Nano))
}

// TestAnOverrideEndsAtItsInstant has a listener in ModePolicy and an open plaintext
// connection to it, in each way in which an override can begin and end.
func TestAnOverrideEndsAtItsInstant(t *testing.T) {
	for name, test := range map[string]struct {
		begin func(w *world, s *Source, l *Listener) (end func())
		from  From
		after time.Duration // when it ends; 0: end ends it
	}{
		"of the listener": {func(_ *world, _ *Source, l *Listener) func() {
			return must(l.Override(7*time.Minute+time.Nanosecond, "drill"))
		}, FromLocal, 7*time.Minute + time.Nanosecond},
		"of the program":                {func(_ *world, s *Source, _ *Listener) func() { return must(s.Override(time.Hour, "drill")) }, FromLocal, time.Hour},
		"of the program, ended by hand": {func(_ *world, s *Source, _ *Listener) func() { return must(s.Override(time.Hour, "drill")) }, FromLocal, 0},
		"of the CA": {func(w *world, _ *Source, _ *Listener) func() {
			w.decree(emergency("b1", "both", time.Now().Add(20*time.Minute)))
			return nil
		}, FromOverride, 20 * time.Minute},
		"of the CA, without an end": {func(w *world, _ *Source, _ *Listener) func() {
			w.decree(emergency("b1", "listen", time.Now().AddDate(100, 0, 0)))
			return nil
		}, FromOverride, time.Hour + time.Minute},
		"of the CA, ended by hand": {func(w *world, _ *Source, _ *Listener) func() {
			w.decree(emergency("b1", "both", time.Now().Add(20*time.Minute)))
			return func() { w.decree(strictPolicy) }
		}, FromOverride, 0},
		"of the CA, which is away then": {func(w *world, _ *Source, _ *Listener) func() {
			w.decree(emergency("b1", "both", time.Now().Add(20*time.Minute)))
			synctest.Wait()
			w.stop()
			w.t.Cleanup(w.up)
			return nil
		}, FromOverride, 20 * time.Minute},
		"of the CA, and the Source is closed then": {func(w *world, s *Source, _ *Listener) func() {
			w.decree(emergency("b1", "both", time.Now().Add(20*time.Minute)))
			synctest.Wait()
			s.Close()
			return nil
		}, FromOverride, 20 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				var text bytes.Buffer
				s := w.open(func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&text, nil)) })
				l := s.Listener(w.net.listen(webHost), ListenerConfig{Authorize: anyone, Mode: ModePolicy})
				defer l.Close()
				pass(time.Minute)
				begun := time.Now()
				end := test.begin(w, s, l)
				synctest.Wait()
				if mode, from := modeOf(t, s); mode != ModePermissive || from != test.from {
					t.Fatalf("mode %s from %s", mode, from)
				}
				accepted := make(chan net.Conn)
				go func() { accepted <- must(l.Accept()) }()
				conn := must(w.net.DialContext(w.t.Context(), "tcp", webHost))
				io.WriteString(conn, "x")
				there := <-accepted
				var ended time.Time
				go func() {
					io.Copy(io.Discard, conn)
					ended = time.Now()
				}()
				if test.after == 0 {
					pass(3 * time.Minute)
					end()
					synctest.Wait()
				} else {
					pass(time.Until(begun.Add(test.after)) - 1)
					if st := s.Listeners()[0]; !ended.IsZero() || st.Mode != ModePermissive || !st.OverrideExpires.Equal(begun.Add(test.after)) || st.OverrideReason == "" {
						t.Errorf("an instant before: ended %s, %+v", ended, st)
					}
					if o := s.Status().Overrides; len(o) != 1 || o[0].From != test.from || !o[0].Expires.Equal(begun.Add(test.after)) {
						t.Errorf("overrides: %+v", o)
					}
					pass(1)
				}
				if !ended.Equal(time.Now()) {
					t.Errorf("the plaintext connection ended at %s, now is %s", ended, time.Now())
				}
				if _, err := there.Read(make([]byte, 2)); !errors.Is(err, ErrPlaintext) {
					t.Errorf("read: %v", err)
				}
				st := s.Listeners()[0]
				if st.Mode != ModeStrict || !st.OverrideExpires.IsZero() || len(s.Overrides()) != 0 {
					t.Errorf("afterwards: %+v", st)
				}
				for _, line := range []string{"override of the mTLS modes is in force", "override of the mTLS modes is over", "plaintext connections closed", "mode=permissive", "mode=strict"} {
					if n := strings.Count(text.String(), line); n != 1 {
						t.Errorf("%q is logged %d times", line, n)
					}
				}
			})
		})
	}
}

func TestOverridesThatLastTooLongAreRefused(t *testing.T) {
	g := newGuarded()
	l := g.here.Listener(nil, ListenerConfig{Authorize: anyone})
	for name, test := range map[string]struct {
		d      time.Duration
		reason string
	}{
		"more than an hour":         {time.Hour + 1, "r"},
		"no time":                   {0, "r"},
		"less than that":            {-time.Minute, "r"},
		"no reason":                 {time.Minute, ""},
		"a reason that is too long": {time.Minute, strings.Repeat("r", maxReason+1)},
	} {
		_, err := g.here.Override(test.d, test.reason)
		_, listenerErr := l.Override(test.d, test.reason)
		if err == nil || listenerErr == nil {
			t.Errorf("%s: %v, %v", name, err, listenerErr)
		}
	}
	if o := g.here.Overrides(); len(o) != 0 {
		t.Errorf("overrides: %+v", o)
	}
}

func TestAnOverrideReplacesTheOneBefore(t *testing.T) {
	inModes(t, func(m *moded) {
		l := m.here.Listener(nil, ListenerConfig{Authorize: anyone})
		m.here.Listener(nil, ListenerConfig{Authorize: anyone, Name: "other", Mode: ModePolicy})
		endFirst := must(l.Override(time.Hour, "first"))
		end := must(l.Override(time.Minute, "second"))
		endFirst() // it is over already
		var reasons []string
		for _, o := range m.here.Overrides() {
			reasons = append(reasons, o.Reason)
		}
		if diff := cmp.Diff([]string{"second"}, reasons); diff != "" {
			t.Errorf("overrides (-want +got):\n%s", diff)
		}
		if st := m.here.Listeners(); st[0].Mode != ModePermissive || st[1].Mode != ModeStrict {
			t.Errorf("listeners: %+v", st)
		}
		end()
		end()
		if st := m.here.Listeners(); st[0].Mode != ModeStrict {
			t.Errorf("listeners: %+v", st)
		}
		must(m.here.Override(time.Minute, "all that follow"))
		if st := m.here.Listeners(); st[0].Mode != ModeStrict || st[1].Mode != ModePermissive {
			t.Errorf("listeners: %+v", st)
		}
		pass(time.Minute)
		if st := m.here.Listeners(); st[1].Mode != ModeStrict {
			t.Errorf("listeners: %+v", st)
		}
	})
}
