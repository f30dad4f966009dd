// Package diagnosis looks for what is wrong with a deployment, and says what to do about it. It is
// what pando doctor shows.
//
// An [Examiner] has a list of checks. Each gathers its facts, from the store, from the memory of the
// replica or from its configuration, and gives them to a function that judges them: pure, of the
// facts and the time, and tested at each boundary. Checks run at the same time and have a limit
// each; one whose facts cannot be had is unknown, and says why, in words that hold no secret.
//
// The levels follow the alerts of deploy/prometheus where there is one for the same thing: critical is
// what pages somebody, a warning what can wait for the morning. What no metric shows is judged
// here alone: settings that are weak, entries that are too wide or of no use, clocks that differ.
package diagnosis
