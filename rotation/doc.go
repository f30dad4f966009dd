// Package rotation does the work that recurs: it makes what issuance will need before it is
// needed, and removes what nobody needs any more.
//
// A [Scheduler] runs named jobs, each by its own schedule:
//
//	schedule   0    1    2    3    4        moments, the same on every replica
//	           |    |    |    |    |
//	offset     |··  |··  |··  |··  |··      drawn once per job and process
//	             ▼    ▼    ▼    ▼    ▼
//	runs         ██   ████████   ██        one at a time; a run that is due meanwhile is skipped
//
// Schedules are functions of the clock and not of when the process started, so that a job
// with a period of six hours also runs on a replica that is restarted every five. The offset
// keeps replicas from doing the same work in the same instant.
//
// Every job may run on every replica, twice, or not at all for a while: it looks at what is
// there and does what is missing. What a run left undone when the process died, the next one
// does. A job that fails is logged, counted, and tried again at its next moment.
package rotation
