package durable

import "io/fs"

// Versions is a folder in which sets of files that belong together replace each other in one
// step:
//
//	DIR/<link>                      → .versions/<label>-<random>
//	DIR/.versions/<label>-<random>/   the files
//
// A version is written whole and made durable under a name that nobody knows yet, and comes
// into force by the rename of one symbolic link: that is the commit point. So the files change
// together, also when the machine stops in between. A reader that opens DIR/<link>/a and then
// DIR/<link>/b can have the switch between its two opens; one that resolves the link once and
// reads from there cannot, since a version never changes and outlives its use.
//
// Whoever may write in DIR can put another link there; but nothing that is planted in it has
// this package write, or change the owner of, a file elsewhere. Windows has no such links for
// everybody: there DIR/<link> is a folder, and its files are replaced one by one.
type Versions struct {
	Path string // DIR; made if it is not there
	Link string // the name of the link
}

// Set is the files of one version.
type Set struct {
	Label string // start of its name
	Files []File
	Mode  fs.FileMode // of the folder of the version
	Owner Owner       // of the files and of that folder
}

// File is one file of a [Set].
type File struct {
	Name string
	Data []byte
	Mode fs.FileMode
}

// Owner is who files belong to. The zero value leaves them to the user of the process.
type Owner struct{ UID, GID *int }
