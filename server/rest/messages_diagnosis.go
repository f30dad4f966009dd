package rest

import "time"

// Diagnosis is what a replica has found.
type Diagnosis struct {
	At      time.Time `json:"at" doc:"When it looked, by its own clock."`
	Version string    `json:"version" doc:"Version of the replica."`
	Checks  []Check   `json:"checks" nullable:"false" doc:"What each check has found, in an order that does not change."`
}

// Check is what one check has found.
type Check struct {
	Name     string            `json:"name" doc:"Name of the check; stable."`
	Level    string            `json:"level" enum:"ok,unknown,warning,critical" doc:"unknown: it could not be looked at."`
	Finding  string            `json:"finding" doc:"One line for people."`
	Advice   string            `json:"advice,omitempty" doc:"What to do: a command, or a page of the documentation."`
	Evidence map[string]string `json:"evidence,omitempty" doc:"What the finding is judged by. Names and texts may change."`
}
