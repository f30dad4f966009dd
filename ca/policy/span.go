package policy

import (
	"fmt"
	"strings"
	"time"
)

// span is a duration in the words of a message, with days of 24 hours, as people write it.
type span time.Duration

func (s span) String() string {
	const day = 24 * time.Hour
	d := time.Duration(s)
	text := d.String()
	if d >= day {
		text = fmt.Sprintf("%dd", d/day)
		if rest := d % day; rest > 0 {
			text += rest.String()
		}
	}
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
