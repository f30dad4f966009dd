package server

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

const (
	defaultPageSize = 100
	maxPageSize     = 999 // one row more is read, to know whether there is another page
)

func pageSize(asked int) (int, error) {
	switch {
	case asked == 0:
		return defaultPageSize, nil
	case asked < 0 || asked > maxPageSize:
		return 0, invalid("page_size: %d is not between 1 and %d", asked, maxPageSize)
	}
	return asked, nil
}

// cursorText writes a place in a listing of certificates: microseconds since 1970 and the
// serial number.
func cursorText(r store.Record) string {
	return fmt.Sprintf("%d.%s", r.NotAfter.UnixMicro(), ca.Serial(r.Serial))
}

func parseCursor(text string) (store.Cursor, error) {
	if text == "" {
		return store.Cursor{}, nil
	}
	at, serial, _ := strings.Cut(text, ".")
	micros, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return store.Cursor{}, invalid("page_token: not one of ours")
	}
	parsed, err := ca.ParseSerial(serial)
	if err != nil {
		return store.Cursor{}, invalid("page_token: not one of ours")
	}
	return store.Cursor{NotAfter: time.UnixMicro(micros).UTC(), Serial: store.Serial(parsed)}, nil
}
