package pgserver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit of times in /proc: USER_HZ, which is 100 on every architecture that Go
// runs on.
const tick = time.Second / 100

// CPU is the processor time, user and system, that the server has used since it was started:
// that of its main process, of the processes that ended, and of those that run.
func (s *Server) CPU() (time.Duration, error) {
	if s.process == nil {
		return 0, errors.New("server is not running")
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var total time.Duration
	for _, path := range stats {
		p, err := readStat(path)
		if err != nil {
			continue // it ended meanwhile, or is not ours to look at
		}
		switch s.process.Pid {
		case p.pid:
			total += p.own + p.children
		case p.parent:
			total += p.own
		}
	}
	return total, nil
}

// stat is what is used of proc_pid_stat(5).
type stat struct {
	pid, parent   int
	own, children time.Duration
}

func readStat(path string) (stat, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	// The second field is the name in parentheses, which may hold spaces.
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	if end < 0 || len(fields) < 15 {
		return stat{}, fmt.Errorf("%s: not a stat file", path)
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(string(fields[i])) // the kernel's own format
		return n
	}
	pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
	if err != nil {
		return stat{}, err
	}
	return stat{
		pid:      pid,
		parent:   number(1),
		own:      time.Duration(number(11)+number(12)) * tick,
		children: time.Duration(number(13)+number(14)) * tick,
	}, nil
}
