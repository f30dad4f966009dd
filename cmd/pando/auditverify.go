package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/store"
)

// maxAuditLine bounds one line of an export: a row has some texts of at most a few kilobytes.
const maxAuditLine = 1 << 20

// auditSource is where the audit comes from: a file, the database, or else a server.
type auditSource struct {
	connection *connectionFlags
	config     configSource
	file       string
}

func newAuditVerifyCommand(io stdio, connection *connectionFlags) *cobra.Command {
	source := auditSource{connection: connection, config: configSource{env: os.Environ()}}
	var head string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify that no row of the audit was changed, moved, taken out or put in",
		Long: `Hold every row of the audit against its hash, and name the first that does not fit. It exits with 0 when
all fit and with 1 when one does not. The rows come from the server; with --config or --data from the
database itself (on SQLite the server must be stopped meanwhile); with --file from an export.

It prints the head: the place of the last row and its hash. Whoever can write to the database can also
make the chain anew, or cut off its end: only with --head, a head that was noted before, does that
show. Each server logs the head with every change. Note it where the database's administrators cannot write.`,
		Example: `  pando audit verify
  pando audit verify -o id > head
  pando audit verify --head "$(cat head)"
  pando audit verify --file audit.jsonl --head 1234:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`,
		Args: cobra.NoArgs,
	}
	source.config.flags(cmd)
	cmd.Flags().StringVar(&source.file, "file", "", "verify this `file`, which pando audit export has made; - is standard input")
	cmd.Flags().StringVar(&head, "head", "", "head that was noted before, as `LINK:HASH`")
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var verifier store.AuditVerifier
		if head != "" {
			known, err := store.ParseAuditHead(head)
			if err != nil {
				return withExitCode(exitUsage, fmt.Errorf("--head: %w", err))
			}
			verifier.Known = &known
		}
		verdict, err := verifyAudit(&verifier, func(each func(*auditJSON) error) error { return source.each(cmd.Context(), io, each) })
		if err != nil {
			return err
		}
		if err := verdict.result().write(io.out, output.value); err != nil {
			return err
		}
		if verdict.Misfit != nil {
			return fmt.Errorf("the audit does not fit: %s", verdict.Misfit.text)
		}
		return nil
	}
	return cmd
}

// auditVerdictJSON is what there is to say of the audit.
type auditVerdictJSON struct {
	Fits    bool        `json:"fits"`
	Rows    int         `json:"rows,omitempty"`
	Covered int         `json:"covered,omitempty"` // written by an earlier release, and vouched for
	Loose   int         `json:"loose,omitempty"`   // written by an earlier release, and not vouched for yet
	Head    string      `json:"head,omitempty"`
	Misfit  *misfitJSON `json:"misfit,omitempty"`
}

// misfitJSON is the first row that does not fit.
type misfitJSON struct {
	Seq  int64  `json:"seq,omitempty"` // unset: it is missing
	Link int64  `json:"link"`
	Why  string `json:"why"`
	text string
}

func (v *auditVerdictJSON) result() result {
	r := result{value: v, table: func(w *tabwriter.Writer) {
		if v.Misfit != nil {
			fact(w, "Verdict", "does not fit")
			fact(w, "Row", v.Misfit.text)
			return
		}
		fact(w, "Verdict", "all rows fit")
		fact(w, "Rows", strconv.Itoa(v.Rows))
		if v.Covered > 0 {
			fact(w, "Vouched for", strconv.Itoa(v.Covered)+", written by an earlier release")
		}
		if v.Loose > 0 {
			fact(w, "Not chained yet", strconv.Itoa(v.Loose)+", written by an earlier release, or by something else than Pando")
		}
		fact(w, "Head", v.Head)
	}}
	if v.Head != "" {
		r.ids = []string{v.Head}
	}
	return r
}

// verifyAudit verifies rows, the oldest first, and tells the first that does not fit.
func verifyAudit(verifier *store.AuditVerifier, rows func(func(*auditJSON) error) error) (*auditVerdictJSON, error) {
	err := rows(func(a *auditJSON) error {
		row, err := a.row()
		if err != nil {
			return err
		}
		return verifier.Add(row)
	})
	var summary store.AuditSummary
	if err == nil {
		summary, err = verifier.End()
	}
	var misfit *store.AuditMisfit
	if errors.As(err, &misfit) {
		return &auditVerdictJSON{Misfit: &misfitJSON{Seq: misfit.Seq, Link: misfit.Link, Why: misfit.Why, text: misfit.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	verdict := &auditVerdictJSON{Fits: true, Rows: summary.Rows, Covered: summary.Covered, Loose: summary.Loose}
	if summary.Head.Link > 0 {
		verdict.Head = summary.Head.String()
	}
	return verdict, nil
}

// row is the row as it is hashed.
func (a *auditJSON) row() (*store.Audit, error) {
	hash, err := hex.DecodeString(a.Hash)
	if err != nil {
		return nil, &store.AuditMisfit{Seq: a.Seq, Link: a.Link, Why: "its hash is not hex"}
	}
	return &store.Audit{
		Seq: a.Seq, At: a.At, Actor: a.Actor, Action: a.Action, Target: a.Target, Detail: a.Detail, Link: a.Link, Hash: hash,
	}, nil
}

// each passes on every row, the oldest first.
func (s *auditSource) each(ctx context.Context, io stdio, each func(*auditJSON) error) error {
	switch offline := s.config.file != "" || s.config.data != ""; {
	case s.file != "" && offline:
		return usageErrorf("--file and --config or --data exclude each other")
	case s.file != "":
		return s.eachInFile(io, each)
	case offline:
		return s.eachInDatabase(ctx, each)
	}
	client, err := s.connection.dial(io, time.Now())
	if err != nil {
		return err
	}
	fetch, query := auditPages(ctx, client), queryOf(map[string]string{"order": "oldest", "page_size": strconv.Itoa(maxPage)})
	for {
		rows, next, err := fetch(query)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := each(&rows[i]); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		query.Set("page_token", next)
	}
}

// eachInDatabase reads the database of the configuration.
func (s *auditSource) eachInDatabase(ctx context.Context, each func(*auditJSON) error) error {
	cfg, err := s.config.load()
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, &cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	filter := store.AuditFilter{Oldest: true, Limit: maxPage}
	for {
		rows, err := db.Audits(ctx, filter)
		if err != nil {
			return describeDatabase(err)
		}
		for _, a := range rows {
			filter.After = a.Seq
			err := each(&auditJSON{
				Seq: a.Seq, At: a.At, Actor: a.Actor, Action: a.Action, Target: a.Target, Detail: a.Detail,
				Link: a.Link, Hash: hex.EncodeToString(a.Hash),
			})
			if err != nil {
				return err
			}
		}
		if len(rows) < filter.Limit {
			return nil
		}
	}
}

// eachInFile reads an export.
func (s *auditSource) eachInFile(in stdio, each func(*auditJSON) error) error {
	from := in.in
	if s.file != "-" {
		file, err := os.Open(s.file)
		if err != nil {
			return err
		}
		defer file.Close()
		from = file
	}
	return eachLine(from, each)
}

// eachLine parses an export: it is as strict as it can be, since it may come from anybody.
func eachLine(from io.Reader, each func(*auditJSON) error) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxAuditLine)
	number := 0
	for lines.Scan() {
		number++
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		var a auditJSON
		if err := decoder.Decode(&a); err != nil || decoder.More() {
			return fmt.Errorf("line %d is not a row of an export", number)
		}
		if err := each(&a); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", number+1, err)
	}
	return nil
}
