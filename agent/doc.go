// Package agent gives identities to programs that do not link the client library: it obtains
// and renews certificates with that library, keeps them in files, and tells the programs.
//
//	            client.Source                      files                       hooks
//	CA ──────► one per identity ──► state ──► DIR/current → a version ──► command or signal
//	            renews, follows      (1)              (2)                       (3)
//
// Each identity has a keeper, which is one goroutine. Whenever the library has a new
// certificate or a new trust bundle, the keeper
//
//  1. saves key, chain and roots in one file of the state directory, so that a restart during
//     an outage of the CA keeps the identity;
//  2. writes a version of the output files and puts it in force by the switch of one link
//     ([durable.Versions]): key and certificate change together;
//  3. requests the hooks of the identity.
//
// What fails is tried again, and the later steps do not wait for the earlier ones: a full
// state directory stops no publication, a broken hook stops no renewal.
//
// Each hook has a goroutine too, so that it never runs twice at once. What is requested while it
// waits or runs is one further run. At each start every hook runs once, whether or not anything
// has changed: if we crashed between steps 2 and 3, that makes up for it.
//
// [Agent.Report] tells the truth about what programs have, not only about what was obtained: an
// identity is unhealthy if its certificate has expired, if the files hold one that has, or if
// the last one that a hook could pass on has.
package agent
