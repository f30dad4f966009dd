package main

import (
	"strings"

	"github.com/rivo/uniseg"
)

// tone is what a piece of text means. How that looks is up to the screen; without colours, nothing
// is lost but emphasis.
type tone int

const (
	toneText  tone = iota
	toneFrame      // the first and the last line
	toneHeading
	toneFaint
	toneGood
	toneWarn
	toneBad
)

// span is a piece of a line.
type span struct {
	text string
	tone tone
}

// line is a line of a screen, and nothing that a terminal would act upon.
type line []span

// say makes a span of text from anywhere.
func say(t tone, text string) span { return span{printable(text), t} }

// plain is a line without its tones.
func (l line) plain() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.text)
	}
	return strings.TrimRight(b.String(), " ")
}

// cut is the part of a line that is seen through a window of this width that begins at column from.
// What goes on to the right is marked.
func (l line) cut(from, width int) line {
	if width <= 0 {
		return nil
	}
	if l.width() <= from+width {
		return l.slice(from, width)
	}
	return append(l.slice(from, width-1).padded(width-1), span{">", toneFaint})
}

// slice is the characters of a line that lie between two columns as a whole.
func (l line) slice(from, width int) line {
	var out line
	column, end := 0, from+width
	for _, s := range l {
		var kept strings.Builder
		for rest, state := s.text, -1; rest != ""; {
			var cluster string
			var w int
			cluster, rest, w, state = uniseg.FirstGraphemeClusterInString(rest, state)
			switch {
			case column >= from && column+w <= end:
				kept.WriteString(cluster)
			case column < from && column+w > from: // the right half of a wide one
				kept.WriteString(" ")
			}
			column += w
		}
		if kept.Len() > 0 {
			out = append(out, span{kept.String(), s.tone})
		}
	}
	return out
}

// width is how many columns a line takes.
func (l line) width() int {
	w := 0
	for _, s := range l {
		w += uniseg.StringWidth(s.text)
	}
	return w
}

// padded is a line that fills so many columns, in the tone of its end.
func (l line) padded(width int) line {
	missing := width - l.width()
	if missing <= 0 {
		return l
	}
	t := toneText
	if len(l) > 0 {
		t = l[len(l)-1].tone
	}
	return append(l[:len(l):len(l)], span{strings.Repeat(" ", missing), t})
}

// columns lays rows out as a table: each cell as wide as the widest of its column, two columns of
// space between them. The first row is the heading.
func columns(rows ...[]span) []line {
	var widths []int
	for _, cells := range rows {
		for i, c := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], line{c}.width())
		}
	}
	lines := make([]line, len(rows))
	for n, cells := range rows {
		l := line{{"  ", toneText}}
		for i, c := range cells {
			if i < len(cells)-1 {
				l = append(l, line{c}.padded(widths[i])...)
				l = append(l, span{"  ", toneText})
				continue
			}
			l = append(l, c)
		}
		lines[n] = l
	}
	return lines
}

// headed is a row of column headings.
func headed(names ...string) []span {
	cells := make([]span, len(names))
	for i, name := range names {
		cells[i] = span{name, toneFaint}
	}
	return cells
}

// barText draws a share as a bar of so many columns, in characters that every terminal has. It is full
// only when all is done.
func barText(share float64, width int) string {
	full := int(share * float64(width))
	full = min(max(full, 0), width)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", width-full) + "]"
}
