package store

// Schema is the schema of a database beside that of this binary.
type Schema struct {
	Version int64   // of the last migration that was applied, 0 for none
	Latest  int64   // that this binary has
	Pending []int64 // those of this binary that are not applied, in order
	Since   int64   // the oldest version whose binaries may run on the database once they are
	Breaks  bool    // replicas of Version have to be stopped before they are
}
